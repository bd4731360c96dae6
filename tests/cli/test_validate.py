"""`validate`: inputs, options, reports and exit codes."""

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_b12.cli import file_validator
from fhir_b12.cli.file_validator import FileValidator, ValidateSettings
from fhir_b12.jsonio import dumps
from fhir_b12.reports import FORMATS
from tests.cli import fake_validator
from tests.cli.fake_validator import (
    BAD,
    GOOD,
    NOTE,
    SECRET,
    STATUS,
    FakeValidator,
    findings,
    write_file,
)
from tests.cli.shell import call
from tests.conftest import examples

BAD_FINDINGS = [("bad.json", 3, STATUS), ("bad.json", 4, NOTE)]
NDJSON_FINDINGS = [
    ("all.ndjson", 3, STATUS),
    ("all.ndjson", 3, NOTE),
    ("all.ndjson", 4, "json-structure"),
]


def test_the_exit_code_is_0_without_errors_1_with_errors_2_for_unreadable_files(fake_folder):
    assert findings("good.json") == (0, [])
    assert findings("bad.json") == (1, BAD_FINDINGS)
    assert findings("bad.json", "--ignore", STATUS) == (0, BAD_FINDINGS[1:])
    assert findings("absent.json", "bad.json") == (
        2,
        [("absent.json", None, "unreadable"), *BAD_FINDINGS],
    )


def test_an_unreadable_file_is_named_and_the_others_are_validated(fake_folder):
    code, out, err = call("validate", "absent.json", "good.json")
    assert (code, err) == (2, "")
    assert out.splitlines() == [
        "unreadable absent.json: No such file or directory",
        "",
        "No findings in 1 resource of 1 file.",
        "1 file could not be read.",
    ]


@pytest.mark.parametrize("suffix", [".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz"])
def test_each_line_of_ndjson_is_a_resource_with_its_line_number(fake_folder, suffix):
    content = Path("all.ndjson").read_bytes()
    name = f"copy{suffix}"
    write_file(name, gzip.compress(content) if suffix.endswith(".gz") else content)
    assert findings(name) == (1, [(name, *rest) for _, *rest in NDJSON_FINDINGS])


def test_compressed_files_are_unpacked_and_corrupt_ones_reported(fake_folder):
    write_file("bad.json.bz2", bz2.compress(Path("bad.json").read_bytes()))
    write_file("cut.json.gz", gzip.compress(dumps(GOOD) * 100)[:-9])
    write_file("cut.ndjson.gz", gzip.compress((dumps(GOOD) + b"\n") * 5)[:-9])
    expected = [("bad.json.bz2", line, rule) for _, line, rule in BAD_FINDINGS]
    assert findings("bad.json.bz2") == (1, expected)
    assert findings("cut.json.gz") == (1, [("cut.json.gz", 1, "json-structure")])
    rules = [rule for _, _, rule in findings("cut.ndjson.gz")[1]]
    assert rules == ["json-structure"]


def test_standard_input_is_recognised_as_json_or_ndjson(fake_folder):
    for name, expected in (("bad.json", BAD_FINDINGS), ("all.ndjson", NDJSON_FINDINGS)):
        result = findings("-", stdin=Path(name).read_bytes())
        assert result == (1, [("-", *rest) for _, *rest in expected])
    assert findings("-", stdin=dumps(GOOD)) == (0, [])
    assert findings("-", stdin=b"")[1] == [("-", 1, "json-structure")]


def test_blank_lines_before_the_second_line_of_standard_input_are_skipped(fake_folder):
    line = dumps(BAD)
    result = findings("-", "--select", STATUS, stdin=line + b"\n" * 50 + line)
    assert result == (1, [("-", 1, STATUS), ("-", 51, STATUS)])
    pretty = dumps(BAD, indent=2)
    assert findings("-", "--select", STATUS, stdin=pretty)[1] == [("-", 3, STATUS)]


def test_folders_are_searched_for_data_files(fake_folder):
    write_file("feed/a/b.json", dumps(BAD))
    write_file("feed/c.ndjson", dumps(BAD))
    write_file("feed/d.jsonl.gz", gzip.compress(dumps(BAD)))
    write_file("feed/readme.txt", b"x")
    write_file("feed/.hidden/d.json", b"x")
    expected = [(f"feed/{name}", 1, STATUS) for name in ("a/b.json", "c.ndjson", "d.jsonl.gz")]
    assert findings("feed", "feed/c.ndjson", "--select", STATUS) == (1, expected)


def test_severity_and_select_choose_the_findings_to_report(fake_folder):
    assert findings("bad.json", "--severity", "error") == (1, BAD_FINDINGS[:1])
    assert findings("bad.json", "-level", "errors") == (1, BAD_FINDINGS[:1])
    assert findings("bad.json", "--select", NOTE) == (0, BAD_FINDINGS[1:])
    assert findings("bad.json", "--select", NOTE, "--ignore", NOTE) == (0, [])


@pytest.mark.parametrize("option", ["--select", "--ignore", "--explain"])
@pytest.mark.parametrize(
    ("rule", "hint"),
    [
        ("requird-binding", "; did you mean required-binding?"),
        ("OBS-6", "; did you mean obs-6?"),
        ("b12-no-stp", "; did you mean b12-no-step?"),
        ("zzz", ": give the package that defines it with --ig."),
    ],
)
def test_an_unknown_rule_exits_with_2_and_a_suggestion(fake_folder, option, rule, hint):
    code, out, err = call("validate", "bad.json", option, rule)
    assert (code, out) == (2, "")
    assert err == (
        f"fhir-b12: {option} {rule}: unknown rule{hint} `validate --explain list` lists all rules\n"
    )


def test_rules_of_json_and_constraints_of_built_in_profiles_can_be_selected(fake_folder):
    for rule in ("json-structure", "b12-no-step", "defect"):
        assert findings("good.json", "--select", rule) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("bad.json", "--dry-run"),
        ("bad.json", "--write-baseline"),
        ("bad.json", "--baseline", "absent.json"),
        ("bad.json", "--baseline", "good.json"),
        ("bad.json", "--baseline", "broken.json"),
        ("bad.json", "--watch", "--fix"),
        ("-", "--fix"),
        ("empty",),
        ("bad.json", "--format", "pdf"),
        ("bad.json", "-version", "5.0"),
        ("bad.json", "--output", "empty"),
        ("bad.json", "--jobs", "-1"),
        ("bad.json", "--severity", "warnig"),
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_be_used_exit_with_2(fake_folder, arguments):
    Path("empty").mkdir()
    write_file("broken.json", b"{")
    code, out, err = call("validate", *arguments)
    assert (code, out) == (2, "")
    assert "fhir-b12" in err


def test_a_package_that_cannot_be_opened_is_named(tmp_path):
    write_file(str(tmp_path / "good.json"), dumps(GOOD))
    code, out, err = call("validate", str(tmp_path / "good.json"), "-ig", "no.such.package#9.9.9")
    assert (code, out) == (2, "")
    assert "no.such.package" in err


def test_options_of_the_hl7_validator_are_applied_or_ignored_with_a_note(fake_folder):
    options = ("-version", "4.0.1", "-tx", "n/a", "-locale", "de", "-recurse", "-output", "o.txt")
    code, out, err = call("validate", "bad.json", *options)
    assert (code, out) == (1, "")
    head = f"error[{STATUS}]: the code is not in the value set\n"
    assert Path("o.txt").read_text("utf-8").startswith(head)
    assert err.splitlines() == [
        "note: -locale is ignored: messages are in English",
        "note: -recurse is ignored: folders are always searched recursively",
    ]


def test_profiles_and_packages_reach_the_validator_in_either_spelling(fake_folder, monkeypatch):
    built = []

    def build(received):
        built.append(received)
        return FakeValidator()

    monkeypatch.setattr(file_validator, "build_validator", build)
    options = ("--profile", "http://a", "-profile", "http://b", "--ig", "x.tgz", "-ig", "y#1")
    call("validate", "good.json", *options, "--no-plausibility", "--show-values")
    assert built == [
        ValidateSettings(
            profiles=("http://a", "http://b"),
            packages=("x.tgz", "y#1"),
            plausibility=False,
            show_values=True,
        )
    ]


# --- reports


def test_the_text_shows_position_and_path_and_masks_values(fake_folder):
    write_file("wrong.json", b'{"resourceType": "Observation",\n "status": "fnial"}')
    assert call("validate", "wrong.json")[1].splitlines() == [
        f"error[{STATUS}]: the code is not in the value set",
        " --> wrong.json:2:12",
        "  |",
        '2 |  "status": "…"}',
        "  |            ^^^",
        "  = at Observation.status",
        "",
        "wrong.json: 1 error",
        "",
        "1 error in 1 resource of 1 file.",
    ]
    with_values = call("validate", "wrong.json", "--show-values")[1].splitlines()
    assert with_values[3:5] == ['2 |  "status": "fnial"}', "  |            ^^^^^^^"]


def test_colours_are_used_only_on_a_terminal_and_not_with_no_color(fake_folder, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in call("validate", "bad.json")[1]
    assert "\x1b[" in call("validate", "bad.json", terminal=True)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in call("validate", "bad.json", terminal=True)[1]


def test_additional_reports_are_written_to_files(fake_folder):
    reports = ("--html", "r.html", "--sarif", "r.sarif", "--junit", "r.xml")
    code, out, _ = call("validate", "bad.json", "all.ndjson", *reports, "--format", "json")
    assert code == 1
    assert json.loads(out)["counts"]["error"] == 2
    assert len(json.loads(Path("r.sarif").read_bytes())["runs"][0]["results"]) == 5
    assert Path("r.xml").read_text("utf-8").count("<testcase ") == 1 + 4
    assert "Source, values masked" in Path("r.html").read_text("utf-8")


def test_junit_has_a_case_for_the_bundle_and_for_each_entry(fake_folder):
    entries = [{"resource": GOOD}, {"resource": BAD}, {}]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    write_file("bundle.json", dumps(bundle))
    out = call("validate", "bundle.json", "--format", "junit")[1]
    names = [
        line.split('name="')[2].split('"')[0] for line in out.splitlines() if "<testcase" in line
    ]
    assert names == ["Bundle", "entry[0] Observation", "entry[1] Observation", "entry[2]"]
    assert out.count("<failure") == 1


def test_each_reason_for_not_checking_is_listed_once(fake_folder):
    write_file("asks.ndjson", b'{"asks": 1}\n{"asks": 1}\n')
    out = call("validate", "asks.ndjson")[1].splitlines()
    assert out == [
        "not checked: X is not known offline",
        "No findings in 2 resources of 1 file.",
    ]


def test_statistics_count_rules_and_show_the_speed(fake_folder):
    out = call("validate", "bad.json", "all.ndjson", "--stats")[1].splitlines()
    assert [line.split() for line in out[-4:-1]] == [
        ["2", "error", STATUS],
        ["2", "warning", NOTE],
        ["1", "fatal", "json-structure"],
    ]
    assert "resources/s" in out[-1]


def test_a_rule_is_explained_with_message_reason_expression_and_source(fake_folder):
    code, out, _ = call("validate", "--explain", "obs-6")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "obs-6 (error, invariants)"
    assert [line.split()[0] for line in lines[2:]] == ["message", "reason", "FHIRPath", "source"]
    table = call("validate", "--explain", "list")[1]
    assert {"json-structure", "unknown-element", "obs-6"} <= {
        line.split()[2] for line in table.splitlines()
    }


def test_several_processes_return_the_same_results_in_the_same_order(fake_folder):
    write_file("many.ndjson", b"".join(dumps(BAD | {"id": str(n)}) + b"\n" for n in range(5000)))
    write_file("none.ndjson", b"")
    files = ("bad.json", "many.ndjson", "good.json", "none.ndjson", "absent.ndjson", "all.ndjson")
    alone, parallel = (findings(*files, "--jobs", n) for n in ("1", "2"))
    assert parallel == alone
    assert len(alone[1]) == 2 + 10_000 + 1 + 3


def test_texts_and_lines_longer_than_max_bytes_are_rejected(fake_folder):
    code, rows = findings("bad.json", "all.ndjson", "--max-bytes", "50")
    assert code == 1
    assert {rule for _, _, rule in rows} == {"json-too-long", "json-structure"}
    assert findings("good.json", "--max-bytes", str(10**30)) == (0, [])


def test_the_line_after_one_that_is_too_long_is_validated(fake_folder):
    long, short = dumps(GOOD | {"id": "x" * 500}), dumps({"status": "x"})
    write_file("l.ndjson", long + b"\n" + short + b"\n" + long)
    size = len(short)
    assert findings("l.ndjson", "--max-bytes", str(size)) == (
        1,
        [
            ("l.ndjson", 1, "json-too-long"),
            ("l.ndjson", 2, STATUS),
            ("l.ndjson", 3, "json-too-long"),
        ],
    )
    write_file("s.ndjson", short + b"\n" + short)
    rules = [rule for _, _, rule in findings("s.ndjson", "--max-bytes", str(size - 1))[1]]
    assert rules == ["json-too-long"] * 2


def test_a_closed_pipe_exits_with_141_and_no_message(fake_folder):
    write_file("many.ndjson", (dumps(BAD) + b"\n") * 400)
    command = [sys.executable, "-m", "fhir_b12", "validate", "many.ndjson", "--verbose"]
    # less than the output
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pipesize=4096
    ) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# --- with the real validator


def secret_resource(resource_type):
    resource = {"resourceType": resource_type, "id": SECRET, "status": SECRET, "birthDate": SECRET}
    name = [{"family": SECRET, "period": {"start": SECRET}}]
    return resource | {"name": name, "code": SECRET}


def test_no_value_of_a_patient_is_in_any_report(tmp_path):
    path = tmp_path / "secret.json"
    entries = [
        {"resource": secret_resource(resource_type), "fullUrl": SECRET}
        for resource_type in ("Patient", "Observation")
    ]
    path.write_bytes(dumps({"resourceType": "Bundle", "type": SECRET, "entry": entries}, indent=2))
    for name in FORMATS:
        code, out, err = call("validate", str(path), "--format", name, "--verbose")
        assert (name, code, SECRET in out + err) == (name, 1, False)
    for extra in (("--fix", "--dry-run"), ("--minimal", str(tmp_path / "small.json"))):
        _, out, err = call("validate", str(path), *extra)
        assert SECRET not in out + err
    assert SECRET not in (tmp_path / "small.json").read_text("utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(90000, 99999) | st.text("XYZ", min_size=5, max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["coding", "code", "value", "reference", "status"]), inner
        )
    ),
    max_leaves=8,
)
ELEMENTS = st.sampled_from(
    ["status", "code", "subject", "contained", "valueQuantity", "text", "id"]
)


@settings(examples(40), suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["Observation", "Patient", "Bundle", "x"]), st.dictionaries(ELEMENTS, JSON))
def test_no_value_of_any_resource_is_in_the_reports(resource_type, fields):
    content = json.dumps({"resourceType": resource_type, **fields}, indent=2).encode()
    for name in ("text", "json", "html"):
        code, out, err = call("validate", "-", "--format", name, stdin=content)
        assert code in {0, 1}
        output = out + err
        assert [value for value in leaves(fields) if value in output] == []


def leaves(node):
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from leaves(child)
    elif isinstance(node, str) or (isinstance(node, int) and not isinstance(node, bool)):
        yield str(node)


def test_the_bundle_of_the_demo_has_no_errors(demo_folder):
    code, _, err = call("validate", "bundle.json", "resources.ndjson", "--severity", "error")
    assert (code, err) == (0, "")


def test_a_constraint_of_a_package_is_explained_and_can_be_selected(fixtures, tmp_path):
    (package,) = sorted((fixtures / "packages").glob("hl7.fhir.us.core*6.1.0*.tgz"))[:1]
    code, out, err = call("validate", "--explain", "us-core-6", "--ig", str(package))
    assert (code, err) == (0, "")
    assert out.startswith("us-core-6 (error, profiles)\n")
    assert "  FHIRPath  " in out
    path = tmp_path / "a.json"
    path.write_bytes(dumps({"resourceType": "Basic", "code": {"text": "x"}}))
    arguments = ("validate", str(path), "--ig", str(package), "--select")
    assert call(*arguments, "us-core-6")[0] == 0
    code, _, err = call(*arguments, "us-core-66")
    assert (code, "did you mean us-core-6?" in err) == (2, True)


def test_a_defect_of_the_validator_is_reported_and_the_other_files_are_validated(
    fake_folder, monkeypatch
):
    def fail(raw):
        if SECRET.encode() in raw:
            raise KeyError(SECRET)
        return fake_validator.validate(raw)

    monkeypatch.setattr(file_validator, "build_validator", lambda _: FakeValidator(fail))
    code, out, err = call("validate", "bad.json", "fixable.json", "--format", "concise")
    assert (code, SECRET in out + err) == (3, False)
    lines = out.splitlines()
    assert lines[0].startswith("bad.json:1:1: fatal defect the validator failed here")
    assert lines[1].startswith("fixable.json:3:")
    code, out, _ = call("validate", "bad.json", "--select", NOTE, "--format", "concise")
    assert (code, " defect " in out) == (3, True)


def test_excerpts_are_taken_for_the_first_of_many_equal_findings():
    raw = dumps([BAD] * 100)
    validator = FileValidator(ValidateSettings(select=(STATUS,)), FakeValidator())
    result = validator.validate_text("a.json", raw)
    has_excerpt = [finding.excerpt is not None for finding in result.findings]
    assert has_excerpt == [True] * 3 + [False] * 97
