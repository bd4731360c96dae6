"""Records to FHIR and back, and updates: files, lines, standard input, issues."""

import bz2
import gzip
import os
import tracemalloc
from pathlib import Path

import pytest

from fhir_b12 import plain, records
from fhir_b12.jsonio import dumps, loads
from tests.cli.shell import call, observation, rows, sorted_keys


def test_a_course_comes_back_as_it_was(inside):
    assert call("to-fhir", "course.json", "-o", "made.json") == (0, "", "")
    code, out, err = call("from-fhir", "made.json")
    assert (code, err) == (0, "")
    before, after = (
        plain.from_plain(loads(text))[0] for text in (Path("course.json").read_bytes(), out)
    )
    assert repr(before) == repr(after)  # 180.00 equals 180.0, its repr does not


@pytest.mark.parametrize("kind", ["transaction", "collection"])
def test_a_course_goes_out_as_the_type_of_bundle_asked_for(inside, kind):
    bundle = loads(call("to-fhir", "course.json", "--type", kind)[1])
    assert bundle["type"] == kind
    assert all(("request" in entry) == (kind == "transaction") for entry in bundle["entry"])


def test_a_plain_list_holds_the_resources_of_the_bundle(inside):
    found = loads(call("to-fhir", "course.json", "--type", "list")[1])
    entries = loads(Path("bundle.json").read_bytes())["entry"]
    assert [each["resourceType"] for each in found] == [
        entry["resource"]["resourceType"] for entry in entries
    ]


def test_ndjson_goes_out_as_one_file_a_type(inside):
    assert call("to-fhir", "course.json", "--format", "ndjson", "-o", "out")[0] == 0
    lines = Path("resources.ndjson").read_bytes().splitlines()
    by_type = {}
    for line in lines:
        by_type.setdefault(loads(line)["resourceType"], []).append(line)
    written = {path.stem: path.read_bytes().splitlines() for path in Path("out").iterdir()}
    assert written == by_type


def test_records_travel_line_by_line_and_come_back(inside):
    assert call("from-fhir", "resources.ndjson", "-o", "read.ndjson") == (0, "", "")
    code, out, err = call("to-fhir", "read.ndjson")
    assert (code, err) == (0, "")
    assert sorted_keys(out) == sorted_keys(Path("resources.ndjson").read_text("utf-8"))
    kinds = {loads(line)["kind"] for line in Path("read.ndjson").read_bytes().splitlines()}
    assert kinds == {record.__name__ for record in records.RECORDS}


def test_every_kind_of_record_is_one_line_of_text(inside):
    _, out, _ = call("from-fhir", "bundle.json", "--format", "text")
    assert {row[0] for row in rows(out)} == {record.__name__ for record in records.RECORDS}
    assert [row for row in rows(out) if not row[2]] == []


def test_several_patients_are_several_records_and_one_bundle(inside):
    courses = [
        {"patient": {"identifier": [{"system": "s", "value": name}], "gender": "male"}}
        for name in ("1", "2")
    ]
    Path("courses.json").write_bytes(dumps(courses))
    assert call("to-fhir", "courses.json", "-o", "made.json") == (0, "", "")
    assert loads(call("from-fhir", "made.json")[1]) == courses
    assert call("update", "made.json", "courses.json")[1] == Path("made.json").read_text("utf-8")


def test_a_device_is_written_to_and_never_replaced(inside):
    for form in ("json", "ndjson"):
        command = ("to-fhir", "course.json", "--format", form, "-o", os.devnull)
        assert call(*command) == (0, "", "")
    assert not Path(os.devnull).is_file()


def test_standard_input_is_a_file_like_any_other(inside):
    course, line = Path("course.json").read_bytes(), dumps(observation())
    assert loads(call("to-fhir", "-", stdin=course)[1]) == loads(Path("bundle.json").read_bytes())
    _, out, _ = call("from-fhir", "-", "--format", "ndjson", stdin=line + b"\n" + line)
    assert [loads(each)["kind"] for each in out.splitlines()] == ["LabResult", "LabResult"]


@pytest.mark.parametrize(("end", "unpack"), [("gz", gzip.decompress), ("bz2", bz2.decompress)])
def test_files_are_packed_and_unpacked_by_their_names(inside, end, unpack):
    for name, form in (("bundle.json", "json"), ("resources.ndjson", "ndjson")):
        packed = f"{name}.{end}"
        assert call("to-fhir", "course.json", "--format", form, "-o", packed)[0] == 0
        assert unpack(Path(packed).read_bytes()) == Path(name).read_bytes()
        assert call("from-fhir", packed) == call("from-fhir", name)


def test_a_bad_line_is_told_with_its_number_and_reading_goes_on(inside):
    good, bad = dumps(observation()), dumps(observation(status=5))
    Path("mixed.ndjson").write_bytes(b"\n".join([good, b'{"a":1,', b"", bad, b"7", good]))
    code, out, err = call("from-fhir", "mixed.ndjson")
    assert code == 1
    assert len(out.splitlines()) == 2
    assert [line.partition("):")[0] for line in err.splitlines()] == [
        "fatal structure $this (2:8",
        "error structure Observation.status (4:1",
        "error structure $this (5:1",
    ]


def test_a_record_that_is_wrong_is_told_with_its_line(inside):
    lines = [b'{"kind":"LabResult","status":"final","test":{"text":"B12"}}']
    lines += [b'{"kind":"LabResult","status":"final"}', b'{"kind":"Potion"}']
    Path("records.ndjson").write_bytes(b"\n".join(lines))
    code, out, err = call("to-fhir", "records.ndjson")
    assert code == 1
    assert [loads(line)["resourceType"] for line in out.splitlines()] == ["Observation"]
    assert [line.partition(":1)")[0] for line in err.splitlines()] == [
        "error required $.labResults[0] (2",
        "error structure $.Potion (3",
    ]


def test_all_that_is_wrong_with_a_record_is_told_at_once_and_nothing_is_written(inside):
    infusion = {"status": "completed", "drug": {"text": "B12"}}  # neither route nor rate
    course = {"patient": {"gender": "female"}, "infusions": [infusion, infusion]}
    Path("course.json").write_bytes(dumps(course))
    Path("kept.json").write_text("as it was", "utf-8")
    code, out, err = call("to-fhir", "course.json", "-o", "kept.json")
    assert (code, out) == (1, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == [
        "error business-rule $.infusions[0]",
        "error business-rule $.infusions[1]",
    ]
    assert Path("kept.json").read_text("utf-8") == "as it was"
    assert sorted(Path().glob("*.part")) == []


def test_what_no_table_reads_is_counted(inside):
    found = [{"resourceType": kind} for kind in ("Claim", "Claim", "Organization", "Secret")]
    code, out, err = call("from-fhir", "-", stdin=dumps(found))
    assert (code, out) == (0, "[]\n")
    assert err == (
        "information not-supported $this: no table reads 2 Claim, 1 Organization, "
        "1 of unknown type; `ledger` lists them, `update` keeps them\n"
    )


def test_a_file_of_any_length_is_read_in_the_same_memory(inside):
    line = dumps(observation(note=[{"text": "x" * 1000}])) + b"\n"

    def peak(count):
        Path("long.ndjson").write_bytes(line * count)
        tracemalloc.start()
        assert call("from-fhir", "long.ndjson", "-o", "records.ndjson") == (0, "", "")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    def least(count):  # other threads of the test run allocate too
        return min(peak(count) for _ in range(3))

    assert least(1000) < least(100) * 3  # ten times the lines


def test_a_bundle_updated_by_its_own_records_is_the_same(inside):
    code, out, err = call("update", "bundle.json", "course.json")
    assert (code, err) == (0, "")
    assert out == Path("bundle.json").read_text("utf-8")


def test_an_update_changes_what_the_record_says_and_names_it(inside):
    course = loads(Path("course.json").read_bytes())
    course["patient"]["gender"] = "other"
    Path("course.json").write_bytes(dumps(course))
    code, out, err = call("update", "bundle.json", "course.json", "--format", "text")
    assert (code, err) == (0, "")
    assert rows(out) == [["changed", "entry[0].resource.gender"]]


def test_one_resource_is_updated_by_itself(inside):
    resource = observation(id="o", issued="2026-01-02T03:04:05Z", unknown=1)
    Path("one.json").write_bytes(dumps(resource))
    record = loads(call("from-fhir", "one.json")[1])
    record["labResults"][0]["status"] = "amended"
    code, out, _ = call("update", "one.json", "-", stdin=dumps(record))
    assert code == 0
    assert loads(out) == {**resource, "status": "amended"}
    record["labResults"] *= 2
    code, out, err = call("update", "one.json", "-", stdin=dumps(record))
    assert (code, out) == (1, "")
    assert err.startswith("error business-rule $this: the records hold not just")
