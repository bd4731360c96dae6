"""`to-fhir`, `from-fhir` and `update`: files, NDJSON, standard input, issues."""

import bz2
import gzip
import os
import tracemalloc
from pathlib import Path

import pytest

from fhir_b12 import plain, records
from fhir_b12.jsonio import dumps, loads
from tests.cli.shell import call, observation, rows, sorted_keys


def test_a_record_is_the_same_after_conversion_to_fhir_and_back(demo_folder):
    assert call("to-fhir", "course.json", "-o", "bundle-out.json") == (0, "", "")
    code, out, err = call("from-fhir", "bundle-out.json")
    assert (code, err) == (0, "")
    before, after = (
        plain.from_plain(loads(text))[0] for text in (Path("course.json").read_bytes(), out)
    )
    assert repr(before) == repr(after)  # 180.00 equals 180.0, its repr does not


@pytest.mark.parametrize("bundle_type", ["transaction", "collection"])
def test_the_bundle_has_the_requested_type(demo_folder, bundle_type):
    bundle = loads(call("to-fhir", "course.json", "--type", bundle_type)[1])
    assert bundle["type"] == bundle_type
    assert all(("request" in entry) == (bundle_type == "transaction") for entry in bundle["entry"])


def test_a_plain_list_has_the_resources_of_the_bundle(demo_folder):
    resources = loads(call("to-fhir", "course.json", "--type", "list")[1])
    entries = loads(Path("bundle.json").read_bytes())["entry"]
    assert [resource["resourceType"] for resource in resources] == [
        entry["resource"]["resourceType"] for entry in entries
    ]


def test_ndjson_output_to_a_folder_is_one_file_for_each_type(demo_folder):
    assert call("to-fhir", "course.json", "--format", "ndjson", "-o", "out")[0] == 0
    lines = Path("resources.ndjson").read_bytes().splitlines()
    by_type = {}
    for line in lines:
        by_type.setdefault(loads(line)["resourceType"], []).append(line)
    written = {path.stem: path.read_bytes().splitlines() for path in Path("out").iterdir()}
    assert written == by_type


def test_ndjson_is_converted_line_by_line_and_back(demo_folder):
    assert call("from-fhir", "resources.ndjson", "-o", "read.ndjson") == (0, "", "")
    code, out, err = call("to-fhir", "read.ndjson")
    assert (code, err) == (0, "")
    assert sorted_keys(out) == sorted_keys(Path("resources.ndjson").read_text("utf-8"))
    names = {loads(line)["kind"] for line in Path("read.ndjson").read_bytes().splitlines()}
    assert names == {record.__name__ for record in records.RECORDS}


def test_text_output_has_one_line_for_each_record(demo_folder):
    _, out, _ = call("from-fhir", "bundle.json", "--format", "text")
    assert {row[0] for row in rows(out)} == {record.__name__ for record in records.RECORDS}
    assert [row for row in rows(out) if not row[2]] == []


def test_the_records_of_several_patients_are_one_bundle(demo_folder):
    courses = [
        {"patient": {"identifier": [{"system": "s", "value": name}], "gender": "male"}}
        for name in ("1", "2")
    ]
    Path("courses.json").write_bytes(dumps(courses))
    assert call("to-fhir", "courses.json", "-o", "bundle-out.json") == (0, "", "")
    assert loads(call("from-fhir", "bundle-out.json")[1]) == courses
    assert call("update", "bundle-out.json", "courses.json")[1] == Path(
        "bundle-out.json"
    ).read_text("utf-8")


def test_a_pipe_is_written_to_and_not_replaced(demo_folder):
    os.mkfifo("pipe")  # a device would do too, but a defect would then replace /dev/null
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    Path("small.json").write_bytes(dumps({"patient": {"gender": "female"}}))
    for output_format in ("json", "ndjson"):
        command = ("to-fhir", "small.json", "--format", output_format, "-o", "pipe")
        assert call(*command) == (0, "", "")
        assert loads(os.read(reader, 65536))["resourceType"] in {"Bundle", "Patient"}
    os.close(reader)
    assert Path("pipe").is_fifo()


def test_standard_input_is_json_or_ndjson_by_the_format_option(demo_folder):
    course, line = Path("course.json").read_bytes(), dumps(observation())
    assert loads(call("to-fhir", "-", stdin=course)[1]) == loads(Path("bundle.json").read_bytes())
    _, out, _ = call("from-fhir", "-", "--format", "ndjson", stdin=line + b"\n" + line)
    assert [loads(row)["kind"] for row in out.splitlines()] == ["LabResult", "LabResult"]


@pytest.mark.parametrize(("end", "unpack"), [("gz", gzip.decompress), ("bz2", bz2.decompress)])
def test_files_are_compressed_and_unpacked_by_their_names(demo_folder, end, unpack):
    for name, output_format in (("bundle.json", "json"), ("resources.ndjson", "ndjson")):
        packed = f"{name}.{end}"
        assert call("to-fhir", "course.json", "--format", output_format, "-o", packed)[0] == 0
        assert unpack(Path(packed).read_bytes()) == Path(name).read_bytes()
        assert call("from-fhir", packed) == call("from-fhir", name)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".ndjson.bz2"])
@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("from-fhir", "resources"),
        ("to-fhir", "records"),
        ("explain", "resources"),
        ("ledger", "resources"),
    ],
)
def test_every_command_reads_ndjson_by_each_of_its_suffixes(demo_folder, command, name, suffix):
    content = Path(f"{name}.ndjson").read_bytes()
    compress = {".gz": gzip.compress, ".bz2": bz2.compress}.get(Path(suffix[1:]).suffix)
    Path(f"copy{suffix}").write_bytes(compress(content) if compress else content)
    assert call(command, f"copy{suffix}") == call(command, f"{name}.ndjson")


def test_ndjson_is_written_to_a_file_named_jsonl(demo_folder):
    assert call("to-fhir", "course.json", "--format", "ndjson", "-o", "out.jsonl")[0] == 0
    assert Path("out.jsonl").read_bytes() == Path("resources.ndjson").read_bytes()


def test_an_invalid_line_is_reported_with_its_number_and_the_others_are_converted(demo_folder):
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


def test_an_invalid_record_is_reported_with_its_line_number(demo_folder):
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


def test_all_errors_of_a_record_are_reported_and_nothing_is_written(demo_folder):
    infusion = {"status": "completed", "drug": {"text": "B12"}}  # neither route nor rate
    course = {"patient": {"gender": "female"}, "infusions": [infusion, infusion]}
    Path("course.json").write_bytes(dumps(course))
    Path("old.json").write_text("old content", "utf-8")
    code, out, err = call("to-fhir", "course.json", "-o", "old.json")
    assert (code, out) == (1, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == [
        "error business-rule $.infusions[0]",
        "error business-rule $.infusions[1]",
    ]
    assert Path("old.json").read_text("utf-8") == "old content"
    assert sorted(Path().glob("*.part")) == []


def test_resources_without_a_mapping_table_are_counted(demo_folder):
    names = ("Claim", "Claim", "Organization", "Secret")
    resources = [{"resourceType": name} for name in names]
    code, out, err = call("from-fhir", "-", stdin=dumps(resources))
    assert (code, out) == (0, "[]\n")
    assert err == (
        "information not-supported $this: no mapping table reads 2 Claim, 1 Organization, "
        "1 of unknown type: `ledger` lists them, `update` preserves them\n"
    )


def test_ndjson_of_any_length_is_converted_in_constant_memory(demo_folder):
    line = dumps(observation(note=[{"text": "x" * 50_000}])) + b"\n"

    def peak(count):
        Path("long.ndjson").write_bytes(line * count)
        tracemalloc.start()
        assert call("from-fhir", "long.ndjson", "-o", "records.ndjson") == (0, "", "")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    def lowest_peak(count):  # other threads of the test run allocate too
        return min(peak(count) for _ in range(3))

    assert lowest_peak(200) < lowest_peak(20) * 3  # ten times the lines


def test_updating_a_bundle_with_its_own_records_changes_nothing(demo_folder):
    code, out, err = call("update", "bundle.json", "course.json")
    assert (code, err) == (0, "")
    assert out == Path("bundle.json").read_text("utf-8")


def test_an_update_changes_only_what_the_record_changes_and_lists_it(demo_folder):
    course = loads(Path("course.json").read_bytes())
    course["patient"]["gender"] = "other"
    Path("course.json").write_bytes(dumps(course))
    code, out, err = call("update", "bundle.json", "course.json", "--format", "text")
    assert (code, err) == (0, "")
    assert rows(out) == [["changed", "entry[0].resource.gender"]]


def test_one_resource_can_be_updated_alone(demo_folder):
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
    assert err.startswith("error business-rule $this: the records contain more or less")
