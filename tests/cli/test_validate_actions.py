"""`validate` with a baseline, `--fix`, `--minimal` and `--watch`."""

import contextlib
import gzip
import json
from pathlib import Path

import pytest

from fhir_b12.cli import file_validator, input_files, validate, watch
from fhir_b12.jsonio import dumps, loads
from tests.cli import fake_validator
from tests.cli.fake_validator import (
    BAD,
    FIXABLE,
    GOOD,
    NOTE,
    ODD,
    SECRET,
    STATUS,
    FakeValidator,
    findings,
    write_file,
)
from tests.cli.shell import call

WRITE_BASELINE = ("--baseline", "known.json", "--write-baseline")


def write_bundle(name, *resources):
    entries = [{"resource": resource} for resource in resources]
    write_file(name, dumps({"resourceType": "Bundle", "entry": entries}, indent=1))


# --- baseline


def test_findings_of_the_baseline_are_neither_reported_nor_counted(fake_folder):
    code, out, _ = call("validate", "bad.json", *WRITE_BASELINE)
    assert (code, out) == (0, "known.json: 2 findings written\n")
    assert findings("bad.json", "--baseline", "known.json") == (0, [])
    out = call("validate", "bad.json", "--baseline", "known.json")[1]
    assert out.splitlines()[-1] == "2 more findings in the baseline."
    assert SECRET not in Path("known.json").read_text("utf-8")


def test_a_baseline_is_sorted_and_has_file_rule_and_path(fake_folder):
    call("validate", "./bad.json", *WRITE_BASELINE)
    assert loads(Path("known.json").read_bytes()) == {
        "format": "fhir-b12-baseline/1",
        "findings": [
            {"file": "bad.json", "rule": NOTE, "expression": "Observation.note"},
            {"file": "bad.json", "rule": STATUS, "expression": "Observation.status"},
        ],
    }


def test_a_baseline_matches_although_lines_and_entries_shift(fake_folder):
    write_bundle("b.json", BAD)
    call("validate", "b.json", *WRITE_BASELINE)
    write_bundle("b.json", GOOD, GOOD, BAD)
    assert findings("b.json", "--baseline", "known.json") == (0, [])
    write_bundle("b.json", BAD, GOOD, BAD)
    code, new = findings("b.json", "--baseline", "known.json")
    assert (code, [rule for _, _, rule in new]) == (1, [STATUS, NOTE])
    write_bundle("b.json", BAD, {**GOOD, "odd": 1})
    code, new = findings("b.json", "--baseline", "known.json")
    assert (code, [rule for _, _, rule in new]) == (1, [ODD])


def test_the_exact_path_is_matched_before_similar_paths(fake_folder):
    write_bundle("b.json", GOOD, BAD)
    call("validate", "b.json", *WRITE_BASELINE)
    write_bundle("b.json", BAD, BAD)
    out = call("validate", "b.json", "--baseline", "known.json", "--format", "ndjson")[1]
    paths = [json.loads(line)["expression"] for line in out.splitlines()]
    assert [path.rpartition("entry")[2][:3] for path in paths] == ["[0]", "[0]"]


def test_a_finding_of_the_baseline_matches_one_similar_finding(fake_folder):
    write_bundle("b.json", BAD)
    call("validate", "b.json", *WRITE_BASELINE)
    write_bundle("b.json", GOOD, BAD, BAD)
    code, new = findings("b.json", "--baseline", "known.json")
    assert (code, [rule for _, _, rule in new]) == (1, [STATUS, NOTE])


def test_a_baseline_matches_only_its_own_file(fake_folder):
    call("validate", "bad.json", *WRITE_BASELINE)
    write_file("copy.json", dumps(BAD))
    code, new = findings("copy.json", "--baseline", "known.json")
    assert (code, [rule for _, _, rule in new]) == (1, [STATUS, NOTE])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "known.json: "),
        (b'{"format": "other"}', "format must be fhir-b12-baseline/1"),
        (b'{"findings": []}', "not a baseline file"),
        (b"[]", "not a baseline file"),
        (b'{"format": "fhir-b12-baseline/1", "findings": [{"file": 1}]}', "not a baseline file"),
        (
            (
                b'{"format": "fhir-b12-baseline/1",'
                b' "findings": [{"file": "a", "rule": 1, "expression": "x"}]}'
            ),
            "not a baseline file",
        ),
        (None, "no such file: create it with --write-baseline"),
    ],
)
def test_an_invalid_baseline_exits_with_2(fake_folder, content, message):
    if content is not None:
        write_file("known.json", content)
    code, out, err = call("validate", "bad.json", "--baseline", "known.json")
    assert (code, out, message in err) == (2, "", True)


# --- --fix


def test_a_fix_changes_its_element_and_nothing_else(fake_folder):
    Path("fixable.json").chmod(0o640)
    Path("link.json").symlink_to("fixable.json")
    code, out, err = call("validate", "link.json", "--fix")
    assert (code, err) == (0, "2 findings fixed in 1 file; remaining findings:\n")
    assert Path("fixable.json").read_text("utf-8") == (
        '{\n  "resourceType": "Observation",\n  "status": "final",\n  "x": 2.50\n}\n'
    )
    assert Path("link.json").is_symlink()
    assert Path("fixable.json").stat().st_mode & 0o777 == 0o640
    assert out == "No findings in 1 resource of 1 file.\n"
    assert sorted(Path().glob("*.part")) == []


def test_a_dry_run_shows_the_changes_and_writes_nothing(fake_folder):
    code, out, err = call("validate", "fixable.json", "--fix", "--dry-run")
    assert code == 1
    assert out.splitlines() == [
        "--- a/fixable.json",
        "+++ b/fixable.json",
        "@@ -1,6 +1,5 @@",
        " {",
        '   "resourceType": "Observation",',
        '-  "odd": …,',
        '-  "status": "…",',
        '+  "status": "…",',
        '   "x": …',
        " }",
    ]
    assert err == (
        "2 findings would be fixed in 1 file; remaining: no findings\n"
        "values are masked: --show-values shows them\n"
    )
    assert Path("fixable.json").read_text("utf-8") == FIXABLE
    with_values = call("validate", "fixable.json", "--fix", "--dry-run", "--show-values")[1]
    assert '+  "status": "final",' in with_values.splitlines()


def test_lines_of_ndjson_are_fixed_one_by_one(fake_folder):
    content = b'{"status": "final "}\r\n\n{"x": \n{"odd":1, "v": 1.0}\n{"status":"x"}'
    write_file("l.ndjson", content)
    code, out, _ = call("validate", "l.ndjson", "--fix", "--format", "concise")
    assert Path("l.ndjson").read_bytes() == (
        b'{"status": "final"}\r\n\n{"x": \n{"v": 1.0}\n{"status":"x"}'
    )
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["l.ndjson:3:7:", "l.ndjson:5:11:"]


def test_lines_that_are_not_utf_8_are_preserved(fake_folder):
    write_file("l.ndjson", b'{"a": "\xff"}\n{"status": "final "}\n')
    call("validate", "l.ndjson", "--fix")
    assert Path("l.ndjson").read_bytes() == b'{"a": "\xff"}\n{"status": "final"}\n'


def test_a_fix_that_reveals_a_fixable_finding_is_followed_by_another_round(
    fake_folder, monkeypatch
):
    def rename_step_by_step(raw):
        value = loads(raw)
        name = next(iter(value))
        if len(name) == 1:
            return fake_validator.Report()
        fix = ({"op": "move", "from": f"/{name}", "path": f"/{name[1:]}"},)
        return fake_validator.Report(
            [fake_validator._issue("error", ODD, "x", f"/{name}", "x", *fix)]
        )

    monkeypatch.setattr(
        file_validator, "build_validator", lambda _: FakeValidator(rename_step_by_step)
    )
    write_file("a.json", b'{"aaaa": 1.0}')
    code, _, err = call("validate", "a.json", "--fix")
    assert (code, err) == (0, "3 findings fixed in 1 file; remaining findings:\n")
    assert Path("a.json").read_bytes() == b'{"a": 1.0}'
    write_file("b.json", b'{"' + b"b" * 12 + b'": 1}')
    code, _, err = call("validate", "b.json", "--fix")
    assert (code, err) == (1, "10 findings fixed in 1 file; remaining findings:\n")


def test_a_patch_whose_result_is_invalid_json_is_not_applied(fake_folder, monkeypatch):
    def duplicate_key(raw):
        fix = ({"op": "move", "from": "/a", "path": "/c"}, {"op": "add", "path": "/c", "value": 1})
        issue = fake_validator._issue("error", ODD, "x", "/a", "x", *fix)
        return fake_validator.Report([issue])

    monkeypatch.setattr(file_validator, "build_validator", lambda _: FakeValidator(duplicate_key))
    write_file("a.json", b'{"a": 1, "b": 2}')
    code, _, err = call("validate", "a.json", "--fix")
    assert (code, err) == (1, "0 findings fixed in 0 files; remaining findings:\n")
    assert Path("a.json").read_bytes() == b'{"a": 1, "b": 2}'


def test_an_interrupted_fix_leaves_the_file_and_no_part_file(fake_folder, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    code, _, err = call("validate", "fixable.json", "--fix")
    assert (code, err) == (2, "fhir-b12: disk full\n")
    assert Path("fixable.json").read_text("utf-8") == FIXABLE
    assert sorted(Path().glob("*.part")) == []


def test_a_compressed_file_is_reported_and_not_changed(fake_folder):
    write_file("fixable.json.gz", gzip.compress(FIXABLE.encode()))
    before = Path("fixable.json.gz").read_bytes()
    code, _, err = call("validate", "fixable.json.gz", "absent.json", "--fix")
    assert (code, Path("fixable.json.gz").read_bytes()) == (2, before)
    assert "note: fixable.json.gz is compressed and was not changed\n" in err


# --- --minimal


def test_the_smallest_resource_shows_the_finding_and_no_patient_data(fake_folder):
    patient = {"resourceType": "Patient", "id": SECRET, "name": [{"family": SECRET}]}
    wrong = {**BAD, "id": "4711", "component": [{"status": "final"}, {"status": SECRET, "n": 47}]}
    del wrong["status"]
    entries = [{"fullUrl": "urn:x", "resource": resource} for resource in (patient, wrong)]
    write_file("b.json", dumps({"resourceType": "Bundle", "entry": entries}))
    code, out, err = call("validate", "b.json", "--select", STATUS, "--minimal", "small.json")
    assert (code, out) == (1, "")
    assert err == f"small.json: smallest resource that shows {STATUS}\n"
    smallest = loads(Path("small.json").read_bytes())
    assert smallest == {"resourceType": "Observation", "component": [{"status": "x1"}]}


def test_the_most_severe_finding_is_minimized(fake_folder):
    write_file("n.json", dumps({"resourceType": "Observation", "note": "a", "status": "x"}))
    err = call("validate", "n.json", "--minimal", "small.json")[2]
    assert err == f"small.json: smallest resource that shows {STATUS}\n"


def test_values_that_the_finding_needs_are_listed(fake_folder, monkeypatch):
    def needs_note(raw):
        value = loads(raw)
        report = fake_validator.validate(raw)
        return report if value.get("note") == SECRET else fake_validator.Report()

    monkeypatch.setattr(file_validator, "build_validator", lambda _: FakeValidator(needs_note))
    err = call("validate", "bad.json", "--minimal", "small.json")[2]
    assert loads(Path("small.json").read_bytes()) == {**BAD, "status": "x1"}
    assert err.splitlines()[1:] == [
        "these values are unchanged because the finding depends on them: /note",
        "check them before you share the file",
    ]


def test_without_findings_no_resource_is_written(fake_folder):
    code, _, err = call("validate", "good.json", "--minimal", "small.json")
    assert (code, err) == (0, "no findings: small.json was not written\n")
    assert not Path("small.json").exists()


# --- --watch


def test_changed_new_and_removed_files_are_noticed(fake_folder):
    steps = [
        lambda: write_file("good.json", b"{}"),
        lambda: None,
        lambda: write_file("new.json", b"{}"),
        lambda: Path("new.json").unlink(),
    ]

    def wait(_):
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    changes = []
    with contextlib.suppress(KeyboardInterrupt):
        for names in watch.changes(lambda: input_files.expand_paths(["."]), wait):
            changes.append(names)  # noqa: PERF402 - the generator ends with an exception
    assert changes == [["good.json"], ["new.json"], ["new.json"]]


def test_changed_files_are_validated_again_until_interrupted(fake_folder, monkeypatch):
    def changes(_):
        write_file("good.json", dumps(BAD))
        yield ["good.json", "gone.json"]
        raise KeyboardInterrupt

    monkeypatch.setattr(validate.watch, "changes", changes)
    code, out, _ = call("validate", "good.json", "--watch", "--format", "concise")
    assert code == 130
    assert out.splitlines()[:4] == [
        "No findings in 1 resource of 1 file.",
        "",
        "changed: good.json, gone.json",
        "",
    ]
    assert out.splitlines()[4].startswith("good.json:1:")
