"""The command `validate`: what it is given, what it tells, what it mends, how it ends."""

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
from fhir_b12.cli.file_validator import Checker, Settings
from fhir_b12.jsonio import dumps
from fhir_b12.reports import FORMATS
from tests.cli import fake_validator
from tests.cli.fake_validator import BAD, GOOD, SECRET, put, told
from tests.cli.shell import call
from tests.conftest import examples

BAD_FINDINGS = [("bad.json", 3, "status"), ("bad.json", 4, "note")]
LINES = [
    ("all.ndjson", 3, "status"),
    ("all.ndjson", 3, "note"),
    ("all.ndjson", 4, "json-structure"),
]


def test_it_exits_with_nothing_errors_or_trouble(room):
    assert told("good.json") == (0, [])
    assert told("bad.json") == (1, BAD_FINDINGS)
    assert told("bad.json", "--ignore", "status") == (0, BAD_FINDINGS[1:])
    assert told("absent.json", "bad.json") == (2, [("absent.json", None, "trouble"), *BAD_FINDINGS])


def test_what_cannot_be_read_is_named_and_the_rest_is_done(room):
    code, out, err = call("validate", "absent.json", "good.json")
    assert (code, err) == (2, "")
    assert out.splitlines() == [
        "unreadable absent.json: No such file or directory",
        "",
        "No findings in 1 resource of 1 file.",
        "1 file could not be read.",
    ]


def test_each_line_of_ndjson_is_a_resource_with_its_number(room):
    assert told("all.ndjson") == (1, LINES)
    put("all.ndjson.gz", gzip.compress(Path("all.ndjson").read_bytes()))
    assert told("all.ndjson.gz") == (1, [("all.ndjson.gz", *rest) for _, *rest in LINES])


def test_packed_files_and_corrupt_ones(room):
    put("bad.json.bz2", bz2.compress(Path("bad.json").read_bytes()))
    put("cut.json.gz", gzip.compress(dumps(GOOD) * 100)[:-9])
    put("cut.ndjson.gz", gzip.compress((dumps(GOOD) + b"\n") * 5)[:-9])
    assert told("bad.json.bz2") == (1, [("bad.json.bz2", n, rule) for _, n, rule in BAD_FINDINGS])
    assert told("cut.json.gz") == (1, [("cut.json.gz", 1, "json-structure")])
    assert [row for row in told("cut.ndjson.gz")[1] if row[2] != "json-structure"] == []


def test_standard_input_is_json_or_ndjson_by_its_look(room):
    for name, expected in (("bad.json", BAD_FINDINGS), ("all.ndjson", LINES)):
        found = told("-", stdin=Path(name).read_bytes())
        assert found == (1, [("-", *rest) for _, *rest in expected])
    assert told("-", stdin=dumps(GOOD)) == (0, [])
    assert told("-", stdin=b"")[1] == [("-", 1, "json-structure")]


def test_folders_are_walked_for_what_is_data(room):
    put("feed/a/b.json", dumps(BAD))
    put("feed/c.ndjson", dumps(BAD))
    put("feed/readme.txt", b"x")
    put("feed/.hidden/d.json", b"x")
    found = told("feed", "feed/c.ndjson", "--select", "status")
    assert found == (1, [("feed/a/b.json", 1, "status"), ("feed/c.ndjson", 1, "status")])


def test_what_is_reported_can_be_chosen(room):
    assert told("bad.json", "--severity", "error") == (1, BAD_FINDINGS[:1])
    assert told("bad.json", "-level", "errors") == (1, BAD_FINDINGS[:1])
    assert told("bad.json", "--select", "note") == (0, BAD_FINDINGS[1:])


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
        ("--explain", "no-such-rule"),
        ("bad.json", "--jobs", "-1"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_carried_out_is_a_matter_of_usage(room, arguments):
    Path("empty").mkdir()
    put("broken.json", b"{")
    code, out, err = call("validate", *arguments)
    assert (code, out) == (2, "")
    assert "fhir-b12" in err


def test_a_package_that_cannot_be_opened_is_named(tmp_path):
    put(str(tmp_path / "good.json"), dumps(GOOD))
    code, out, err = call("validate", str(tmp_path / "good.json"), "-ig", "no.such.package#9.9.9")
    assert (code, out) == (2, "")
    assert "no.such.package" in err


def test_options_of_the_hl7_validator_are_understood_or_passed_over_with_a_note(room):
    given = ("-version", "4.0.1", "-tx", "n/a", "-locale", "de", "-recurse", "-output", "o.txt")
    code, out, err = call("validate", "bad.json", *given)
    assert (code, out) == (1, "")
    assert Path("o.txt").read_text("utf-8").startswith("error[status]: the code is none of R4\n")
    assert err.splitlines() == [
        "note: -locale changes nothing: messages are in English",
        "note: -recurse changes nothing: folders are always walked",
    ]


def test_profiles_and_packages_reach_the_validator_by_either_spelling(room, monkeypatch):
    asked = []
    monkeypatch.setattr(
        file_validator, "validator", lambda each: asked.append(each) or fake_validator.validate
    )
    ours = ("--profile", "http://a", "-profile", "http://b", "--ig", "x.tgz", "-ig", "y#1")
    call("validate", "good.json", *ours, "--no-plausibility", "--show-values")
    assert asked == [
        Settings(
            profiles=("http://a", "http://b"),
            packages=("x.tgz", "y#1"),
            plausibility=False,
            show_values=True,
        )
    ]


# --- reports


def test_the_text_shows_line_place_and_remedy_and_masks_values(room):
    put("wrong.json", b'{"resourceType": "Observation",\n "status": "fnial"}')
    assert call("validate", "wrong.json")[1].splitlines() == [
        "error[status]: the code is none of R4",
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
    shown = call("validate", "wrong.json", "--show-values")[1].splitlines()
    assert shown[3:5] == ['2 |  "status": "fnial"}', "  |            ^^^^^^^"]


def test_colours_are_for_terminals_and_for_those_who_like_them(room, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in call("validate", "bad.json")[1]
    assert "\x1b[" in call("validate", "bad.json", terminal=True)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in call("validate", "bad.json", terminal=True)[1]


def test_reports_are_written_besides(room):
    beside = ("--html", "r.html", "--sarif", "r.sarif", "--junit", "r.xml")
    code, out, _ = call("validate", "bad.json", "all.ndjson", *beside, "--format", "json")
    assert code == 1
    assert json.loads(out)["counts"]["error"] == 2
    assert len(json.loads(Path("r.sarif").read_bytes())["runs"][0]["results"]) == 5
    assert Path("r.xml").read_text("utf-8").count("<testcase ") == 1 + 4
    assert "Source, values masked" in Path("r.html").read_text("utf-8")


def test_a_bundle_has_a_case_for_itself_and_for_each_entry(room):
    entries = [{"resource": GOOD}, {"resource": BAD}, {}]
    put("bundle.json", dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    out = call("validate", "bundle.json", "--format", "junit")[1]
    names = [
        line.split('name="')[2].split('"')[0] for line in out.splitlines() if "<testcase" in line
    ]
    assert names == ["Bundle", "entry[0] Observation", "entry[1] Observation", "entry[2]"]
    assert out.count("<failure") == 1


def test_what_was_not_checked_is_said_once(room):
    put("asks.ndjson", b'{"asks": 1}\n{"asks": 1}\n')
    out = call("validate", "asks.ndjson")[1].splitlines()
    assert out == [
        "not checked: X is not known offline",
        "No findings in 2 resources of 1 file.",
    ]


def test_statistics_name_rules_and_speed(room):
    out = call("validate", "bad.json", "all.ndjson", "--stats")[1].splitlines()
    assert [line.split() for line in out[-4:-1]] == [
        ["2", "error", "status"],
        ["2", "warning", "note"],
        ["1", "fatal", "json-structure"],
    ]
    assert "resources/s" in out[-1]


def test_rules_are_explained(room):
    code, out, _ = call("validate", "--explain", "obs-6")
    assert code == 0
    assert out.splitlines()[0] == "obs-6 (error, invariants)"
    listed = call("validate", "--explain", "list")[1]
    assert {"json-structure", "unknown-element", "obs-6"} <= {
        line.split()[2] for line in listed.splitlines()
    }


def test_more_processes_say_the_same_in_the_same_order(room):
    put("many.ndjson", b"".join(dumps(BAD | {"id": str(n)}) + b"\n" for n in range(5000)))
    put("none.ndjson", b"")
    files = ("bad.json", "many.ndjson", "good.json", "none.ndjson", "absent.ndjson", "all.ndjson")
    alone, together = (told(*files, "--jobs", n) for n in ("1", "2"))
    assert together == alone
    assert len(alone[1]) == 2 + 10_000 + 1 + 3


def test_texts_and_lines_beyond_the_limit_are_refused(room):
    rules = {row[2] for row in told("bad.json", "all.ndjson", "--max-bytes", "50")[1]}
    assert rules == {"json-too-long", "json-structure"}
    assert told("good.json", "--max-bytes", str(10**30)) == (0, [])


def test_a_reader_that_leaves_early_is_no_error(room):
    put("many.ndjson", (dumps(BAD) + b"\n") * 3000)
    command = [sys.executable, "-m", "fhir_b12", "validate", "many.ndjson", "--verbose"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# --- with the validator itself


def secret(kind):
    text = {"resourceType": kind, "id": SECRET, "status": SECRET, "birthDate": SECRET}
    return text | {"name": [{"family": SECRET, "period": {"start": SECRET}}], "code": SECRET}


def test_no_value_of_a_patient_shows_in_any_report(tmp_path):
    path = tmp_path / "secret.json"
    entries = [{"resource": secret(kind), "fullUrl": SECRET} for kind in ("Patient", "Observation")]
    path.write_bytes(dumps({"resourceType": "Bundle", "type": SECRET, "entry": entries}, indent=2))
    for form in FORMATS:
        code, out, err = call("validate", str(path), "--format", form, "--verbose")
        assert (form, code, SECRET in out + err) == (form, 1, False)
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
def test_whatever_a_resource_holds_nothing_of_it_shows(kind, fields):
    content = json.dumps({"resourceType": kind, **fields}, indent=2).encode()
    for form in ("text", "json", "html"):
        code, out, err = call("validate", "-", "--format", form, stdin=content)
        assert code in {0, 1}
        shown = out + err
        values = [value for value in leaves(fields) if value in shown]
        assert values == []


def leaves(node):
    if isinstance(node, dict | list):
        for each in node.values() if isinstance(node, dict) else node:
            yield from leaves(each)
    elif isinstance(node, str) or (isinstance(node, int) and not isinstance(node, bool)):
        yield str(node)


def test_a_bundle_of_the_demo_has_no_error(inside):
    code, _, err = call("validate", "bundle.json", "resources.ndjson", "--severity", "error")
    assert (code, err) == (0, "")


def test_where_the_validator_fails_it_says_so_and_goes_on(room, monkeypatch):
    def failing(raw):
        if SECRET.encode() in raw:
            raise KeyError(SECRET)
        return fake_validator.validate(raw)

    monkeypatch.setattr(file_validator, "validator", lambda _: failing)
    code, out, err = call("validate", "bad.json", "mend.json", "--format", "concise")
    assert (code, SECRET in out + err) == (3, False)
    assert out.splitlines()[0].startswith("bad.json:1:1: fatal defect the validator failed here")
    assert out.splitlines()[1].startswith("mend.json:3:")


def test_excerpts_are_kept_for_some_of_many_findings_alone():
    raw = dumps([BAD] * 100)
    checker = Checker(Settings(select=("status",)), fake_validator.validate)
    found = checker.text("a.json", raw).found
    assert [each.excerpt is not None for each in found] == [True] * 3 + [False] * 97
