"""A bad table is refused at load, with every fault at once."""

import copy

import pytest

from fhir_b12 import codes, data
from fhir_b12.codes import CodeTable
from fhir_b12.data import TableError
from fhir_b12.definitions import R4
from fhir_b12.mapping import table as tables


def broken(change):
    source = copy.deepcopy(data.toml("lab_result.toml"))
    change(source)
    with pytest.raises(TableError) as error:
        tables.build("lab_result", source)
    return str(error.value)


@pytest.mark.parametrize("name", tables.ORDER)
def test_every_shipped_table_loads(name):
    assert tables.load(name).rows


def test_an_unknown_path_is_refused_with_the_nearest_right_one():
    def change(source):
        source["elements"]["refernceRange"] = source["elements"].pop("referenceRange")

    assert broken(change) == (
        "lab_result.toml: refernceRange: R4 has no element Observation.refernceRange; "
        "did you mean Observation.referenceRange?"
    )


def test_all_faults_are_listed_at_once():
    def change(source):
        source["elements"]["status"]["field"] = "stauts"
        source["elements"]["code"]["codes"] = "no_such"
        source["elements"]["issued"]["as"] = "no_codec"

    lines = broken(change).splitlines()
    assert len(lines) == 4
    assert "status.field: LabResult has no field 'stauts'" in lines[0]
    assert "field 'status' of LabResult has no row and would be lost" in lines[1]
    assert any("unknown code table 'no_such'" in line for line in lines)
    assert any("unknown codec 'no_codec'" in line for line in lines)


def test_a_field_without_a_row_is_refused():
    def change(source):
        del source["elements"]["note"]

    assert "field 'note' of LabResult has no row" in broken(change)


def test_a_misspelt_key_of_a_row_is_refused_by_the_schema():
    def change(source):
        source["elements"]["code"]["feild"] = "x"

    assert broken(change).startswith("lab_result.toml: code: ")


def rows(*lines):
    """A change that sets these rows."""
    return lambda source: source["elements"].update(dict(lines))


FAULTS = {
    "a list where R4 has one": (
        rows(("valueString", {"field": "note"}), ("note", {"field": "value_string"})),
        [
            "valueString: valueString occurs once at most in R4, field note is a list",
            "note: note may repeat in R4, field value_string is a single value",
        ],
    ),
    "another type": (
        rows(("issued", {"field": "value"}), ("valueQuantity", {"field": "issued"})),
        [
            "issued: issued has type instant, field value has Quantity",
            "valueQuantity: valueQuantity has type Quantity, field issued has Instant",
        ],
    ),
    "a choice left open": (
        lambda s: s["elements"].update({"value[x]": s["elements"].pop("valueTime")}),
        ["value[x]: value[x] is a choice of types; name the element of one type"],
    ),
    "two rows that read one element": (
        rows(("valueTime", {"field": "value_time", "also": [{"element": "valueString"}]})),
        ["valueTime.also: valueString is already read by row valueString; remove it here"],
    ),
    "a part of what is read whole": (
        rows(("specimen", {"field": "specimen"}), ("specimen.display", {"field": "specimen"})),
        [
            (
                "\"specimen.display\".field: field 'specimen' is already mapped to specimen; "
                "use `also` there"
            ),
            "specimen.display: row specimen already reads the whole of specimen; keep one",
            "specimen.display: specimen.display has type string, field specimen has Reference",
        ],
    ),
    "a guard by a row that is not there": (
        lambda s: s["when"].append({"code": {"key": "lab_tests.no-such"}}),
        ["when.code: codes/lab_tests.toml has no row 'no-such'; name one of its rows"],
    ),
    "a link without a row": (
        lambda s: s.update(links={"specimen": {"element": "device", "table": "no_such"}}),
        [
            "links.specimen: field 'specimen' is already mapped to specimen; use `also` there",
            "links.specimen: unknown table 'no_such'; known tables: " + ", ".join(tables.ORDER),
        ],
    ),
    "a link to what the field does not hold": (
        lambda s: s.update(links={"device": {"element": "specimen", "table": "patient"}}),
        [
            "links.device: field 'device' is already mapped to device; use `also` there",
            "links.device: the field has another type than Patient",
            "links.device: specimen cannot refer to Patient in R4",
        ],
    ),
    "a codec for another type": (
        rows(("valueCodeableConcept", {"field": "value_concept", "as": "moment"})),
        [
            (
                "valueCodeableConcept.as: codec 'moment' reads dateTime, "
                "valueCodeableConcept has type CodeableConcept"
            )
        ],
    ),
    "a codec that only reads, to write": (
        rows(
            ("valueString", {"field": "value_string", "as": "result"}),
            ("valueQuantity", {"field": "value"}),
        ),
        ["valueString.as: codec 'result' only reads; move it to `also` of the row that writes"],
    ),
    "an element twice in a row": (
        rows(("valueTime", {"field": "value_time", "also": [{"element": "valueTime"}]})),
        ["valueTime: valueTime is listed twice; remove one"],
    ),
    "a status that is none": (
        lambda s: s.update(refuse={"status": ["entered-in-error", "entered-in-eror"]}),
        [
            "refuse.status: unknown code 'entered-in-eror'; R4 has "
            + ", ".join(sorted(R4.codes("Observation.status")))
        ],
    ),
    "a withdrawal that is not refused": (
        lambda s: s.pop("refuse"),
        ["refuse.status: 'entered-in-error' withdraws the resource; add it here"],
    ),
    "codes where there are none": (
        rows(("issued", {"field": "issued", "codes": "lab_tests"})),
        ["issued.codes: issued has type instant, which has no codes; remove `codes`"],
    ),
    "a code of an unknown system": (
        lambda s: s["when"].append({"code": {"coded": ["http://lionc.org|1"]}}),
        ["when.code: unknown system 'http://lionc.org'; add it to codes/systems.toml"],
    ),
    "a misspelt resource": (
        lambda s: s.update(resource="Observaton"),
        ["resource: Observaton is not a resource type of FHIR R4; did you mean Observation?"],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_table_is_reported_with_row_key_and_remedy(name):
    change, faults = FAULTS[name]
    assert broken(change).splitlines() == [f"lab_result.toml: {fault}" for fault in faults]


def test_faults_of_shape_do_not_hide_the_others():
    def change(source):
        source["elements"]["code"]["feild"] = "x"
        source["elements"]["issued"] = {"field": "isued"}
        source["when"].append({"code": {"known": "no_such"}})
        source["refuse"] = {"stauts": ["x"]}

    messages = broken(change).splitlines()
    assert [line.split(": ")[1] for line in messages] == [
        "code", "issued.field", "refuse.stauts", "refuse.status", "when.code",
    ]  # fmt: skip


def test_a_table_reports_the_faults_of_the_code_tables_it_uses(monkeypatch):
    def twice(name):
        row = {"text": "a", "source": "s", "codings": [{"system": "loinc", "code": "x"}]}
        return CodeTable(name, {"a": row, "b": row})

    monkeypatch.setattr(codes, "table", twice)
    (first, *_) = broken(lambda _: None).splitlines()
    assert first == (
        "codes/lab_tests.toml: b.codings[0]: http://loinc.org|x already means a; "
        "move it to `wider` in both"
    )


@pytest.mark.parametrize("content", [b"x = ", b"\xff"])
def test_a_file_that_is_not_toml_is_a_table_error(content, tmp_path, monkeypatch):
    (tmp_path / "odd.toml").write_bytes(content)
    monkeypatch.setattr(data, "mappings", lambda: tmp_path)
    with pytest.raises(TableError, match=r"^odd\.toml: "):
        data.toml("odd.toml")


def test_two_rows_for_one_field_are_refused():
    def change(source):
        source["elements"]["valueTime"]["field"] = "value_string"

    assert "is already mapped to valueString" in broken(change)


def test_an_ambiguous_code_is_an_error():
    row = {"text": "a", "source": "s", "codings": [{"system": "loinc", "code": "x"}]}
    with pytest.raises(TableError, match=r"b.codings\[0\]: http://loinc.org\|x already means a"):
        CodeTable("demo", {"a": row, "b": row})


ROWS = {
    "a number": (3, [": not a row; write [a] with text and source below it"]),
    "codings as one": (
        {"codings": {}}, [".codings: not a list of codings; write [{ system = ..., code = ... }]"],
    ),
    "codings as text": (
        {"codings": ["loinc|1"]},
        [".codings: not a list of codings; write [{ system = ..., code = ... }]"],
    ),
    "no code": (
        {"codings": [{"system": "loinc"}]}, [".codings[0].code: the code is missing; add it"],
    ),
    "an unknown key": (
        {"codings": [{"system": "loinc", "code": "1", "dispaly": "x"}]},
        [".codings[0]: unknown key 'dispaly'; a coding has system, code and display"],
    ),
    "one code twice": (
        {"codings": [{"system": "loinc", "code": "1"}], "wider": [{"system": "loinc", "code": "1"}]},
        [".wider[0]: loinc|1 is also in `codings`; keep one"],
    ),
    "a spelling": (
        {"spellings": ["Big  Words"]},
        [".spellings: 'Big  Words' never matches; write lower case and single spaces"],
    ),
    "no source": (
        {"source": " "},
        [".source: the source is empty; cite a document with both code and text"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_a_fault_of_a_code_row_is_reported_with_its_key(name):
    row, faults = ROWS[name]
    made = {"text": "a", "source": "s", **row} if isinstance(row, dict) else row
    with pytest.raises(TableError) as error:
        CodeTable("demo", {"a": made})
    assert str(error.value).splitlines() == [f"codes/demo.toml: a{fault}" for fault in faults]


def test_an_unknown_mechanism_is_reported():
    with pytest.raises(TableError, match=r"a.mechanism: unknown mechanism \['x'\]; the rows of"):
        CodeTable("demo", {"a": {"text": "a", "source": "s", "mechanism": ["x"]}})


def test_a_code_row_without_source_or_with_an_unknown_system_or_mechanism_is_refused():
    rows = {
        "a": {"text": "a"},
        "b": {"text": "b", "source": "s", "codings": [{"system": "nope", "code": "1"}]},
        "c": {"text": "c", "source": "s", "mechanism": "nope"},
    }
    with pytest.raises(TableError) as error:
        CodeTable("demo", rows)
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize("name", codes.tables())
def test_every_concept_is_found_by_its_written_form(name):
    table = codes.table(name)
    missing = [e.key for e in table if e.codings and table.find(e.concept) is not e]
    assert missing == []
