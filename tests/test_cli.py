"""The command line: each command, its exit codes, streams, bad input, and its own examples."""

import bz2
import contextlib
import gzip
import io
import json
import os
import pty
import shlex
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from fhir_b12 import cli, codes, data, exchange, plain, records
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping import table as tables
from fhir_b12.paths import leaves

COMMANDS = cli.parser()._subparsers._group_actions[0].choices
EXAMPLES = [
    line.strip()
    for command in COMMANDS.values()
    for line in command.epilog.splitlines()
    if line.startswith("  fhir-b12 ")
]
READING = ("to-fhir", "from-fhir", "explain", "ledger")
LAB = codes.table("lab_tests")["serum-vitamin-b12-mass"]


def call(*arguments, stdin=b"", terminal=False):
    """Exit code, standard output and standard error of one command."""
    out, err = io.BytesIO(), io.StringIO()
    stream = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    stream.isatty = lambda: terminal
    given, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(err):
            try:
                code = cli.main(arguments)
            except SystemExit as end:
                code = end.code
    finally:
        sys.stdin = given
    return code, out.getvalue().decode(), err.getvalue()


def rows(text):
    """The lines of a plain table, its heads left out."""
    return [line.split("\t") for line in text.splitlines()[1:]]


def sorted_keys(lines):
    """Lines of JSON whatever the order of their keys, numbers digit for digit."""
    found = (json.loads(line, parse_float=str) for line in lines.splitlines())
    return [json.dumps(each, sort_keys=True) for each in found]


def observation(**fields):
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category"}
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [category | {"code": "laboratory"}]}],
        "code": {"text": "B12"},
        **fields,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's files: course.json, bundle.json, records.ndjson and resources.ndjson."""
    place = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FHIR_B12_FIXTURES", str(place))
        assert call("demo", "--save", str(place))[0] == 0
    bundle = str(place / "bundle.json")
    for command, source, target in (
        ("from-fhir", bundle, "records.ndjson"),
        ("to-fhir", str(place / "course.json"), "resources.ndjson"),
    ):
        code, _, err = call(command, source, "--format", "ndjson", "-o", str(place / target))
        assert (code, err) == (0, "")
    return place


@pytest.fixture
def inside(folder, tmp_path, monkeypatch):
    """A folder of one's own with the demo's files in it, to stand in."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_B12_FIXTURES", str(tmp_path))
    return tmp_path


# demo


def test_the_demo_proves_what_it_claims_and_fits_on_a_screen(inside):
    code, out, err = call("demo")
    assert (code, err) == (0, "")
    claims = [line.split("  ")[1] for line in out.splitlines() if "  yes" in line]
    assert claims == [
        "read back, the record is identical",
        "sent twice, nothing is made twice",
        "every leaf is accounted for once",
        "read back, digit for digit",
    ]
    assert "180.00" in out
    assert "A Bundle nobody here wrote: none is at hand" in out
    assert len(out.splitlines()) <= 45
    kinds = {record.__name__ for record in records.RECORDS}
    assert kinds <= {line.split()[1] for line in out.splitlines() if line[:5].strip().isdigit()}


def test_the_demo_takes_a_bundle_of_ones_own(inside):
    claim = {"resourceType": "Claim", "status": "active"}
    patient = {"resourceType": "Patient", "id": "p", "gender": "male"}
    entries = [{"resource": each} for each in (patient, claim, observation())]
    Path("other.json").write_bytes(dumps({"resourceType": "Bundle", "entry": entries}))
    code, out, err = call("demo", "other.json")
    assert (code, err) == (0, "")
    told = out.partition("A Bundle nobody here wrote: ")[2].splitlines()
    assert told[0] == "other.json"
    assert told[1] == "  read     1 Patient, 1 LabResult"
    assert told[2] == "  left     1 Claim: no table reads these"
    assert "changed entry[0].resource.gender, nothing else" in out


def test_the_demo_fails_where_a_proof_fails(inside, monkeypatch):
    monkeypatch.setattr(exchange, "updated", lambda bundle, _: {**bundle, "id": "other"})
    code, out, _ = call("demo", "bundle.json")
    assert code == 1
    assert [line for line in out.splitlines() if "  NO" in line] != []


# help


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_arguments_examples_and_exit_codes(name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert f"\nexamples:\n  fhir-b12 {name}" in out
    assert "\nexit codes:\n  0  all is well" in out
    silent = [action.dest for action in COMMANDS[name]._actions if not action.help]
    assert silent == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_help_run(inside, example):
    code, out, err = call(*shlex.split(example)[1:])
    assert (code, err) == (0, "")
    assert out or "--output" in example


def test_help_names_every_command():
    out = call("--help")[1]
    assert [name for name in COMMANDS if f"\n    {name}" not in out] == []


# to-fhir, from-fhir


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
        "error structure $ (3",
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

    peak(10)
    assert peak(1000) < peak(100) * 1.2


# update


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


# explain, ledger


def test_every_kind_of_record_is_explained_leaf_by_leaf(inside):
    bundle = loads(Path("bundle.json").read_bytes())
    code, out, err = call("explain", "bundle.json", "--format", "json")
    assert (code, err) == (0, "")
    explained = loads(out)
    assert [leaf["path"] for leaf in explained] == [path for path, _ in leaves(bundle)]
    mapped = [leaf for leaf in explained if leaf["class"] == "mapped"]
    assert [leaf for leaf in mapped if not {"table", "row", "field"} <= leaf.keys()] == []
    assert [leaf for leaf in explained if leaf["class"] != "mapped" and "why" not in leaf] == []
    assert {leaf["table"] for leaf in mapped} == set(tables.ORDER)
    for leaf in mapped:
        table = tables.load(leaf["table"])
        ways = {way.element: row.field for row in table.rows for way in row.ways}
        linked = {link.field for link in table.links} | {"bag"}
        assert leaf["row"] in ways
        assert leaf["field"].split(".")[0] in {row.field for row in table.rows} | linked


def test_a_leaf_names_its_row_field_codec_and_meaning():
    coding = {"system": LAB.codings[0].system, "code": LAB.codings[0].code}
    resource = observation(code={"coding": [coding]}, valueString="<150")
    out = call("explain", "-", stdin=dumps(resource))[1]
    assert rows(out) == [
        ["resourceType", "constant", "lab_result", "", "", "", "", "the table's resource type"],
        ["status", "mapped", "lab_result", "status", "status", "", "", ""],
        *(
            [f"category[0].coding[0].{name}", "mapped", "lab_result", "category",
             f"category.coding.{name}", "", "", ""]
            for name in ("system", "code")
        ),
        *(
            [f"code.coding[0].{name}", "mapped", "lab_result", "code", f"test.coding.{name}", "",
             f"lab_tests: {LAB.key}", ""]
            for name in ("system", "code")
        ),
        ["valueString", "mapped", "lab_result", "valueString", "value", "result", "", ""],
    ]  # fmt: skip


def test_an_oral_dose_is_no_infusion_and_explain_says_what_one_would_be():
    dose = {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "dosage": {"route": {"text": "oral"}},
    }
    code, out, err = call("explain", "-", stdin=dumps([dose]))
    assert code == 0
    assert [row[:2] for row in rows(out)] == [
        ["[0].resourceType", "residue"],
        ["[0].status", "residue"],
        ["[0].dosage.route.text", "residue"],
    ]
    assert err.startswith(
        "information not-supported [0]: no table reads this resource: infusion reads it where "
        "dosage.route means routes.intravenous, or "
    )


def test_the_ledger_sums_to_the_leaves(inside):
    claim = {"resourceType": "Claim", "status": "active"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": claim}, {"resource": observation()}]}
    Path("other.json").write_bytes(dumps(bundle))
    sums = loads(call("ledger", "other.json", "--format", "json")[1])
    assert sums == {
        "leaves": 8,
        "classes": {"derived": 1, "residue": 2, "constant": 1, "mapped": 4},
        "share": 100,
        "residue": [{"path": "Claim", "leaves": 2, "why": "no table reads this resource"}],
    }
    shown = rows(call("ledger", "other.json")[1])
    assert [row[:2] for row in shown] == [
        ["4", "mapped"], ["1", "constant"], ["1", "derived"], ["2", "residue"], ["8", "leaves"],
        ["100.00%", "share"], ["2", "  Claim"],
    ]  # fmt: skip
    every = rows(call("ledger", "other.json", "--all")[1])
    assert [row[0] for row in every] == [path for path, _ in leaves(bundle)]


def test_the_ledger_of_lines_is_that_of_the_whole(inside):
    lines = loads(call("ledger", "resources.ndjson", "--format", "json")[1])
    listed = call("to-fhir", "course.json", "--type", "list")[1].encode()
    assert lines == loads(call("ledger", "-", "--format", "json", stdin=listed)[1])


# mappings, codes, convert, schema


def test_the_mappings_are_documented_whole():
    shown = rows(call("mappings")[1])
    for name in tables.ORDER:
        table = tables.load(name)
        head, *fields = [row for row in shown if row[0] == name]
        assert (head[1], head[3]) == (table.resource, table.record.__name__)
        assert {row[3] for row in fields} == set(table.record.__struct_fields__)
    assert [each["name"] for each in loads(call("mappings", "--format", "json")[1])] == list(
        tables.ORDER
    )


@pytest.fixture
def broken(monkeypatch):
    """A function that replaces a text in the tables before they are read."""
    caches = (data.toml, tables.load, codes.table)
    read, changes = data.read, []

    def change(old, new):
        changes.append((old, new))
        for each in caches:
            each.cache_clear()

    def changed(folder, name):
        text = read(folder, name)
        for old, new in changes:
            text = text.replace(old, new)
        return text

    monkeypatch.setattr(data, "read", changed)
    yield change
    for each in caches:
        each.cache_clear()


def test_the_slips_of_all_tables_are_told_at_once(broken):
    broken(b'field = "taken" }', b'field = "swallowed" }')
    broken(b"[oral]\ntext = ", b"[oral]\ntxet = ")
    code, out, err = call("mappings")
    assert (code, out) == (1, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == [
        "codes/routes.toml",
        "medication_use.toml",
        "medication_use.toml",
    ]


def test_a_table_that_is_no_toml_is_told_with_its_place(broken):
    broken(b'resource = "Patient"', b"resource = ")
    code, out, err = call("mappings", "patient")
    assert (code, out) == (1, "")
    assert err.startswith("patient.toml: Invalid value (at line ")


def test_codes_are_found_by_key_by_code_and_by_text():
    pair = f"loinc|{LAB.codings[0].code}"
    uri = f"{LAB.codings[0].system}|{LAB.codings[0].code}"
    for question in (["--key", LAB.key], ["--code", pair], ["--code", uri]):
        code, out, _ = call("codes", *question)
        assert code == 0
        assert [(row[0], row[1], row[4]) for row in rows(out)] == [("lab_tests", LAB.key, pair)]
    code, out, _ = call("codes", LAB.text.upper(), "--table", "lab_tests")
    assert LAB.key in [row[1] for row in rows(out)]
    assert [row[0] for row in rows(call("codes")[1])] == list(codes.tables())


def test_a_wider_code_is_found_and_said_to_be_wider():
    entry = next(each for each in codes.table("conditions") if each.wider)
    wider = f"{entry.wider[0].system}|{entry.wider[0].code}"
    found = rows(call("codes", "--code", wider, "--table", "conditions")[1])
    assert [row[3] for row in found if row[1] == entry.key] == ["wider code"]


def test_what_no_code_table_knows_is_a_finding():
    assert call("codes", "no such thing")[0] == 1
    assert call("codes", "--key", "no-such-key")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (("1500", "ug", "mg"), 0, "1.500 mg\n"),
        (("180", "pg/mL", "pmol/L", "--analyte", "cobalamin"), 0, "133 pmol/L\n"),
        (("<150", "pg/mL", "pmol/L", "--test", LAB.key), 0, "<111 pmol/L\n"),
        (("180", "pg/mL", "pmol/L"), 1, ""),
        (("180", "pg/mL", "mg"), 1, ""),
        (("180", "IU", "ug"), 1, ""),
        (("much", "ug", "mg"), 2, ""),
        (("1", "ug", "mg", "--test", "no-such-test"), 2, ""),
    ],
)
def test_values_convert_with_the_figures_measured(arguments, code, out):
    found = call("convert", *arguments)
    assert found[:2] == (code, out)
    assert bool(found[2]) == (code > 0)


def test_a_converted_value_is_a_quantity():
    out = call("convert", "<1500", "mcg", "mg", "--format", "json")[1]
    assert loads(out) | {"unit": "mg"} == loads(
        '{"value":1.500,"comparator":"<","unit":"mg",'
        '"system":"http://unitsofmeasure.org","code":"mg"}'
    )


def test_the_schema_is_one_and_the_course_obeys_it(inside):
    schema = json.loads(call("schema")[1])
    Draft202012Validator.check_schema(schema)
    course = json.loads(Path("course.json").read_bytes())
    assert list(Draft202012Validator(schema).iter_errors(course)) == []


# what goes wrong


HOSTILE = {
    "a NUL": b"\x00",
    "no UTF-8": b'{"resourceType":"\xff\xfe"}',
    "a BOM": b"\xef\xbb\xbf{}",
    "half an object": b'{"resourceType":"Patient"',
    "a key twice": b'{"resourceType":"Patient","id":"a","id":"b"}',
    "no number": b'{"resourceType":"Patient","x":NaN}',
    "depth": b"[" * 100_000,
    "half a surrogate pair": b'{"resourceType":"Patient","id":"\\ud800"}',
    "a broken gzip": gzip.compress(b"{}" * 1000)[:-9],
    "a broken bzip2": bz2.compress(b"{}" * 1000)[:-9],
    "a number": b"7",
    "null": b"null",
}  # fmt: skip


@pytest.mark.parametrize("command", READING)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_read_is_told_as_issues(command, content, tmp_path):
    for name in ("hostile.json", "hostile.ndjson"):
        path = tmp_path / name
        path.write_bytes(content)
        code, _, err = call(command, str(path))
        assert code == 1
        assert [e for e in err.splitlines() if not e.startswith(("fatal ", "error "))] == []


@pytest.mark.parametrize("command", READING)
def test_nothing_at_all_is_no_json_and_no_line(command):
    assert call(command, "-")[0] == 1
    assert call(command, "-", "--format", "ndjson")[::2] == (0, "")


def test_a_demo_of_what_cannot_be_read_ends_with_issues(tmp_path):
    path = tmp_path / "hostile.json"
    path.write_bytes(HOSTILE["half an object"])
    code, _, err = call("demo", str(path))
    assert code == 1
    assert err.startswith("fatal structure Patient.resourceType (1:26): ")


def test_an_empty_record_is_an_empty_bundle():
    assert loads(call("to-fhir", "-", stdin=b"{}")[1])["entry"] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["coding", "code", "value", "reference", "x"]), inner)
    ),
    max_leaves=8,
)
TYPES = st.sampled_from([tables.load(name).resource for name in tables.ORDER] + ["Claim", ""])
ELEMENTS = st.sampled_from(
    ["status", "code", "category", "subject", "identifier", "contained", "dosage", "valueQuantity"]
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(TYPES, st.dictionaries(ELEMENTS, JSON), st.sampled_from(READING))
def test_whatever_a_resource_holds_a_command_ends_well(kind, fields, command):
    content = json.dumps({"resourceType": kind, **fields}).encode()
    code, _, err = call(command, "-", stdin=content)
    assert code in {0, 1}
    assert "Traceback" not in err


def test_messages_hold_no_patient_values(inside):
    secret = "Maja-Sørensen"
    wrong = observation(
        status=[secret], code=secret, valueQuantity={"value": secret, "unit": [secret]}
    )
    wrong |= {"subject": secret, "effectiveDateTime": secret, "identifier": secret}
    patient = {"resourceType": "Patient", "birthDate": secret, "gender": [secret], "name": secret}
    for resource in (wrong, patient, {"resourceType": secret}, secret):
        for command in ("from-fhir", "explain", "ledger", "to-fhir"):
            code, _, err = call(command, "-", stdin=dumps(resource))
            assert code in {0, 1}
            assert secret not in err
    course = {"patient": {"birthDate": secret, "name": secret}, "labResults": [secret]}
    code, _, err = call("to-fhir", "-", stdin=dumps(course))
    assert code == 1
    assert secret not in err


def test_data_never_steers_the_terminal():
    resource = observation(**{"\x1b[2J\n": "x"})
    out = call("explain", "-", stdin=dumps(resource))[1]
    assert rows(out)[-1][0] == r"\x1b[2J\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("from-fhir", "absent.json"),
        ("from-fhir", "absent.ndjson"),
        ("from-fhir", "."),
        ("to-fhir", "course.json", "--output", "."),
        ("to-fhir", "course.json", "--output", "absent/bundle.json"),
        ("to-fhir", "course.json", "--format", "ndjson", "--type", "list"),
        ("to-fhir", "course.json", "--format", "ndjson", "--output", "course.json"),
        ("from-fhir", "resources.ndjson", "--format", "json"),
        ("from-fhir", "bundle.json", "--max-bytes", "0"),
        ("update", "-", "-"),
        ("mappings", "potions"),
        ("codes", "--table", "potions"),
        ("codes", "--code", "no-system"),
        ("convert", "1"),
        ("brew",),
        (),
    ],
)
def test_what_cannot_be_carried_out_is_a_matter_of_usage(inside, arguments):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "fhir-b12" in err


def test_a_text_longer_than_allowed_is_refused(inside):
    code, out, err = call("from-fhir", "bundle.json", "--max-bytes", "1000")
    assert (code, out) == (1, "")
    assert err.startswith("fatal too-long $this (1:1): ")
    code, out, err = call("from-fhir", "resources.ndjson", "--max-bytes", "400")
    assert code == 1
    assert out
    assert {line.split()[1] for line in err.splitlines()} == {"too-long"}


def test_a_limit_beyond_all_memory_asks_for_none_of_it(inside):
    assert call("from-fhir", "bundle.json", "--max-bytes", str(10**30))[0] == 0
    assert call("from-fhir", "resources.ndjson", "--max-bytes", str(10**30))[0] == 0


def test_a_defect_is_told_without_a_traceback_or_a_value(inside, monkeypatch):
    def broken(_):
        raise KeyError("Maja")

    monkeypatch.setattr(exchange, "from_bundle", broken)
    code, out, err = call("from-fhir", "bundle.json")
    assert (code, out) == (3, "")
    assert err.startswith("fhir-b12: KeyError at test_cli.py:")
    assert "Maja" not in err


def test_a_closed_standard_output_is_a_matter_of_usage(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["schema"]) == 2


def test_an_interrupt_ends_quietly(inside, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(exchange, "from_bundle", interrupted)
    assert call("from-fhir", "bundle.json") == (130, "", "")


def test_a_reader_that_leaves_early_is_no_error(inside):
    command = [sys.executable, "-m", "fhir_b12", "explain", "bundle.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"path\t")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# at a terminal


def test_tables_are_drawn_for_a_terminal(inside, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    patient = {"resourceType": "Patient", "gender": "female"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient}]}
    drawn = call("explain", "-", stdin=dumps(bundle), terminal=True)[1]
    assert "entry[0] by patient.toml" in drawn
    assert "resource.gender" in drawn
    assert "\t" not in drawn
    titles = call("mappings", "lab_result", terminal=True)[1]
    assert titles.startswith("lab_result: Observation <-> LabResult, where category has one of ")


def test_progress_is_shown_to_a_terminal_alone(inside):
    command = [sys.executable, "-m", "fhir_b12", "from-fhir", "resources.ndjson", "-o", "r.ndjson"]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    ours, theirs = pty.openpty()
    subprocess.run(command, stderr=theirs, check=True)
    os.close(theirs)
    assert b"lines" in os.read(ours, 65536)
    os.close(ours)
