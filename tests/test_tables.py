"""A bad table is refused at load, with every slip at once."""

import copy

import pytest

from fhir_b12 import codes, data
from fhir_b12.codes import CodeTable, TableError
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
        "lab_result.toml: refernceRange: R4 has no Observation.refernceRange; "
        "did you mean Observation.referenceRange?"
    )


def test_all_slips_are_listed_at_once():
    def change(source):
        source["elements"]["status"]["field"] = "stauts"
        source["elements"]["code"]["codes"] = "no_such"
        source["elements"]["issued"]["as"] = "no_codec"

    lines = broken(change).splitlines()
    assert len(lines) == 4
    assert "status: LabResult has no field 'stauts'" in lines[0]
    assert "field 'status' of LabResult has no row, so it would be lost" in lines[1]
    assert any("no code table 'no_such'" in line for line in lines)
    assert any("no codec 'no_codec'" in line for line in lines)


def test_a_field_without_a_row_is_refused():
    def change(source):
        del source["elements"]["note"]

    assert "field 'note' of LabResult has no row" in broken(change)


def test_a_misspelt_key_of_a_row_is_refused_by_the_schema():
    def change(source):
        source["elements"]["code"]["feild"] = "x"

    assert "elements.code" in broken(change)


def test_two_rows_for_one_field_are_refused():
    def change(source):
        source["elements"]["valueTime"]["field"] = "value_string"

    assert "already stands at valueString" in broken(change)


def test_a_code_that_means_two_things_is_refused():
    row = {"text": "a", "source": "s", "codings": [{"system": "loinc", "code": "x"}]}
    with pytest.raises(TableError, match=r"b: http://loinc.org\|x already means a"):
        CodeTable("demo", {"a": row, "b": row})


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
def test_every_concept_is_found_by_what_is_written_for_it(name):
    table = codes.table(name)
    missing = [e.key for e in table if e.codings and table.find(e.concept) is not e]
    assert missing == []
