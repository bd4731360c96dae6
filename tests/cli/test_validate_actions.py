"""Baselines, remedies, the smallest example, watching: what `validate` does with what it finds."""

import contextlib
import gzip
from pathlib import Path

from fhir_b12.cli import file_validator, input_files, validate, watch
from fhir_b12.jsonio import dumps, loads
from tests.cli import fake_validator
from tests.cli.fake_validator import BAD, GOOD, MENDABLE, SECRET, put, told
from tests.cli.shell import call


def test_known_findings_are_neither_told_nor_counted(room):
    code, out, _ = call("validate", "bad.json", "--baseline", "known.json", "--write-baseline")
    assert (code, out) == (0, "known.json: 2 findings are known from now on\n")
    assert told("bad.json", "--baseline", "known.json") == (0, [])
    out = call("validate", "bad.json", "--baseline", "known.json")[1]
    assert out.splitlines()[-1] == "2 more are known to the baseline."
    assert SECRET not in Path("known.json").read_text("utf-8")


def test_a_baseline_stands_lines_and_entries_that_shift(room):
    def bundle(*resources):
        entries = [{"resource": each} for each in resources]
        put("b.json", dumps({"resourceType": "Bundle", "entry": entries}, indent=1))

    bundle(BAD)
    call("validate", "b.json", "--baseline", "known.json", "--write-baseline")
    bundle(GOOD, GOOD, BAD)
    assert told("b.json", "--baseline", "known.json") == (0, [])
    bundle(BAD, GOOD, BAD)
    code, found = told("b.json", "--baseline", "known.json")
    assert (code, [rule for _, _, rule in found]) == (1, ["status", "note"])
    bundle(BAD, {**GOOD, "odd": 1})
    code, found = told("b.json", "--baseline", "known.json")
    assert (code, [rule for _, _, rule in found]) == (1, ["odd"])


# --- remedies


def test_a_remedy_changes_its_place_and_nothing_besides(room):
    Path("mend.json").chmod(0o640)
    Path("link.json").symlink_to("mend.json")
    code, out, err = call("validate", "link.json", "--fix")
    assert (code, err) == (0, "2 findings were mended in 1 file; what is left:\n")
    assert Path("mend.json").read_text("utf-8") == (
        '{\n  "resourceType": "Observation",\n  "status": "final",\n  "x": 2.50\n}\n'
    )
    assert Path("link.json").is_symlink()
    assert Path("mend.json").stat().st_mode & 0o777 == 0o640
    assert out == "No findings in 1 resource of 1 file.\n"
    assert sorted(Path().glob("*.part")) == []


def test_a_dry_run_shows_what_would_change_and_changes_nothing(room):
    code, out, err = call("validate", "mend.json", "--fix", "--dry-run")
    assert code == 1
    assert out.splitlines() == [
        "--- a/mend.json",
        "+++ b/mend.json",
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
        "2 findings would be mended in 1 file; what is left: no findings\n"
        "values are masked; --show-values shows them\n"
    )
    assert Path("mend.json").read_text("utf-8") == MENDABLE
    shown = call("validate", "mend.json", "--fix", "--dry-run", "--show-values")[1]
    assert '+  "status": "final",' in shown.splitlines()


def test_lines_of_ndjson_are_mended_each_by_itself(room):
    put("l.ndjson", b'{"status": "final "}\r\n\n{"x": \n{"odd":1, "v": 1.0}\n{"status":"x"}')
    code, out, _ = call("validate", "l.ndjson", "--fix", "--format", "concise")
    assert Path("l.ndjson").read_bytes() == (
        b'{"status": "final"}\r\n\n{"x": \n{"v": 1.0}\n{"status":"x"}'
    )
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["l.ndjson:3:7:", "l.ndjson:5:11:"]


def test_what_is_packed_is_told_and_left_as_it_is(room):
    put("mend.json.gz", gzip.compress(MENDABLE.encode()))
    before = Path("mend.json.gz").read_bytes()
    code, _, err = call("validate", "mend.json.gz", "absent.json", "--fix")
    assert (code, Path("mend.json.gz").read_bytes()) == (2, before)
    assert "mend.json.gz is packed and stays as it is" in err


# --- the smallest example


def test_the_smallest_example_shows_the_fault_and_nothing_of_the_patient(room):
    patient = {"resourceType": "Patient", "id": SECRET, "name": [{"family": SECRET}]}
    wrong = {**BAD, "id": "4711", "component": [{"status": "final"}, {"status": SECRET, "n": 47}]}
    del wrong["status"]
    entries = [{"fullUrl": "urn:x", "resource": each} for each in (patient, wrong)]
    put("b.json", dumps({"resourceType": "Bundle", "entry": entries}))
    code, out, err = call("validate", "b.json", "--select", "status", "--minimal", "small.json")
    assert (code, out) == (1, "")
    assert err == "small.json: the smallest resource that shows status\n"
    smallest = loads(Path("small.json").read_bytes())
    assert smallest == {"resourceType": "Observation", "component": [{"status": "x1"}]}


def test_values_the_fault_needs_are_named(room, monkeypatch):
    def needs(raw):
        value = loads(raw)
        found = fake_validator.validate(raw)
        return found if value.get("note") == SECRET else fake_validator.Report()

    monkeypatch.setattr(file_validator, "validator", lambda _: needs)
    call("validate", "bad.json", "--minimal", "small.json")
    assert loads(Path("small.json").read_bytes()) == {**BAD, "status": "x1"}
    err = call("validate", "bad.json", "--minimal", "small.json")[2]
    assert err.splitlines()[1].endswith("the fault needs their values: /note")


def test_of_nothing_wrong_there_is_no_example(room):
    code, _, err = call("validate", "good.json", "--minimal", "small.json")
    assert (code, err) == (0, "nothing to show: no fault was found\n")
    assert not Path("small.json").exists()


# --- watching


def test_files_that_change_come_and_go_are_seen(room):
    steps = [
        lambda: put("good.json", b"{}"),
        lambda: None,
        lambda: put("new.json", b"{}"),
        lambda: Path("new.json").unlink(),
    ]

    def wait(_):
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    seen = []
    with contextlib.suppress(KeyboardInterrupt):
        for names in watch.changes(lambda: input_files.expanded(["."]), wait):
            seen.append(names)  # noqa: PERF402 - the generator ends in an exception
    assert seen == [["good.json"], ["new.json"], ["new.json"]]


def test_what_changes_is_validated_again_until_one_stops_it(room, monkeypatch):
    def changed(_):
        put("good.json", dumps(BAD))
        yield ["good.json", "gone.json"]
        raise KeyboardInterrupt

    monkeypatch.setattr(validate.watch, "changes", changed)
    code, out, err = call("validate", "good.json", "--watch", "--severity", "error")
    assert (code, err) == (130, "")
    assert "changed: good.json, gone.json\n" in out
    assert out.index("No findings") < out.index("error[status]")
