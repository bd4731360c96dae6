"""What is explained and looked up: leaves, ledger, mappings, codes, conversion, schema."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from fhir_b12 import codes, data
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping import table as tables
from fhir_b12.paths import leaves
from tests.cli.shell import call, observation, rows

LAB = codes.table("lab_tests")["serum-vitamin-b12-mass"]


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
             f"category.coding.{name}", "", "observation_categories: laboratory", ""]
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
