"""`explain`, `ledger`, `mappings`, `codes`, `convert` and `schema`."""

import importlib.metadata
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import fhir_b12
from fhir_b12 import codes, data
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping import table as tables
from fhir_b12.paths import leaves
from tests.cli.shell import call, observation, rows

LAB = codes.table("lab_tests")["serum-vitamin-b12-mass"]


def test_every_value_of_every_record_type_is_explained(demo_folder):
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


def test_a_value_is_explained_by_row_field_codec_and_key():
    coding = {"system": LAB.codings[0].system, "code": LAB.codings[0].code}
    resource = observation(code={"coding": [coding]}, valueString="<150")
    out = call("explain", "-", stdin=dumps(resource))[1]
    assert rows(out) == [
        ["resourceType", "constant", "lab_result", "", "", "", "", "the resource type of the table"],
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


def test_explain_says_why_an_oral_dose_is_not_an_infusion():
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
        "information not-supported [0]: no mapping table reads this resource: infusion reads it if "
        "dosage.route means routes.intravenous, or "
    )


def test_the_totals_of_the_ledger_add_up(demo_folder):
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


def test_the_ledger_of_ndjson_equals_the_ledger_of_a_list(demo_folder):
    lines = loads(call("ledger", "resources.ndjson", "--format", "json")[1])
    listed = call("to-fhir", "course.json", "--type", "list")[1].encode()
    assert lines == loads(call("ledger", "-", "--format", "json", stdin=listed)[1])


def test_every_mapping_table_and_field_is_documented():
    shown = rows(call("mappings")[1])
    for name in tables.ORDER:
        table = tables.load(name)
        head, *fields = [row for row in shown if row[0] == name]
        assert (head[1], head[3]) == (table.resource, table.record.__name__)
        assert {row[3] for row in fields} == set(table.record.__struct_fields__)
    assert [table["name"] for table in loads(call("mappings", "--format", "json")[1])] == list(
        tables.ORDER
    )


@pytest.fixture
def edit_tables(monkeypatch):
    """Return a function that replaces a text in the tables before they are read."""
    caches = (data.toml, tables.load, codes.table)
    read, changes = data.read, []

    def change(old, new):
        changes.append((old, new))
        for function in caches:
            function.cache_clear()

    def changed(folder, name):
        text = read(folder, name)
        for old, new in changes:
            text = text.replace(old, new)
        return text

    monkeypatch.setattr(data, "read", changed)
    yield change
    for function in caches:
        function.cache_clear()


def test_the_faults_of_all_tables_are_reported_at_once(edit_tables):
    edit_tables(b'field = "taken" }', b'field = "swallowed" }')
    edit_tables(b"[oral]\ntext = ", b"[oral]\ntxet = ")
    code, out, err = call("mappings")
    assert (code, out) == (1, "")
    assert [line.partition(": ")[0] for line in err.splitlines()] == [
        "codes/routes.toml",
        "medication_use.toml",
        "medication_use.toml",
    ]


def test_check_reports_every_fault_once_with_file_row_and_key(edit_tables):
    edit_tables(b'field = "taken" }', b'field = "swallowed" }')
    edit_tables(b"[oral]\ntext = ", b"[oral]\ntxet = ")
    code, out, err = call("mappings", "--check")
    assert (code, out) == (1, "")
    assert [": ".join(line.split(": ")[:2]) for line in err.splitlines()] == [
        "codes/routes.toml: oral",
        "medication_use.toml: effectiveDateTime.field",
        "medication_use.toml: elements",
    ]
    code, _, err = call("mappings", "--check", "patient")
    assert (code, err) == (0, "")


def test_check_reports_success():
    assert call("mappings", "--check") == (0, "no faults in the tables\n", "")


def test_the_version_of_the_command_is_that_of_the_package():
    version = importlib.metadata.version("fhir-b12")
    assert fhir_b12.__version__ == version
    assert call("--version") == (0, f"fhir-b12 {version}\n", "")


def test_invalid_toml_is_reported_with_its_position(edit_tables):
    edit_tables(b'resource = "Patient"', b"resource = ")
    code, out, err = call("mappings", "patient")
    assert (code, out) == (1, "")
    assert err.startswith("patient.toml: Invalid value (at line ")


def test_codes_are_found_by_key_code_and_text():
    pair = f"loinc|{LAB.codings[0].code}"
    uri = f"{LAB.codings[0].system}|{LAB.codings[0].code}"
    for options in (["--key", LAB.key], ["--code", pair], ["--code", uri]):
        code, out, _ = call("codes", *options)
        assert code == 0
        assert [(row[0], row[1], row[4]) for row in rows(out)] == [("lab_tests", LAB.key, pair)]
    code, out, _ = call("codes", LAB.text.upper(), "--table", "lab_tests")
    assert LAB.key in [row[1] for row in rows(out)]
    assert [row[0] for row in rows(call("codes")[1])] == list(codes.tables())


def test_a_wider_code_is_found_and_marked_as_wider():
    entry = next(code for code in codes.table("conditions") if code.wider)
    wider = f"{entry.wider[0].system}|{entry.wider[0].code}"
    found = rows(call("codes", "--code", wider, "--table", "conditions")[1])
    assert [row[3] for row in found if row[1] == entry.key] == ["wider code"]


def test_codes_are_found_by_a_spelling_of_the_table():
    code, out, err = call("codes", "holotc")
    assert (code, err) == (0, "")
    assert [row[1] for row in rows(out)] == ["active-b12-holotranscobalamin"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("xyzzy",), "no concept matches 'xyzzy' in any code table"),
        (
            ("holotransobalamin", "--table", "lab_tests"),
            (
                "no concept matches 'holotransobalamin' in code table lab_tests; "
                "did you mean holotranscobalamin?"
            ),
        ),
        (
            ("--key", "serum-vitamin-b12-mas"),
            "no key 'serum-vitamin-b12-mas' in any code table; did you mean serum-vitamin-b12-mass?",
        ),
        (
            ("--code", "loinc|0"),
            "no concept with code loinc|0 in any code table; search by TEXT instead",
        ),
    ],
)
def test_a_search_without_result_says_so_and_exits_with_1(arguments, message):
    code, out, err = call("codes", *arguments)
    assert (code, rows(out), err) == (1, [], f"fhir-b12: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mappings", "lab_reslt"), "unknown mapping table 'lab_reslt'; did you mean lab_result?"),
        (("mappings", "--check", "lab_reslt"), "unknown mapping table 'lab_reslt'; did you mean "),
        (
            ("codes", "--table", "lab_test"),
            "unknown code table 'lab_test'; did you mean lab_tests?",
        ),
        (("codes", "--table", "zzz"), "unknown code table 'zzz'; choose one of "),
        (("codes", "--code", "lonic|1"), "unknown code system 'lonic'; did you mean loinc?"),
        (("codes", "--code", "1"), "'1' has no code system: write SYSTEM|CODE, with a URI or "),
        (
            ("convert", "1", "ug", "mol", "--analyte", "cobalmin"),
            "unknown analyte 'cobalmin'; did you mean cobalamin?",
        ),
        (("convert", "1", "pgml", "pmol/L"), "unknown unit 'pgml'; did you mean pg/mL?"),
        (("convert", "1", "pg/mL", "pmoll"), "unknown unit 'pmoll'; did you mean pmol/L?"),
        (("convert", "1", "zzz", "pmol/L"), "unknown unit 'zzz': write a UCUM code"),
        (
            ("convert", "1", "ug", "mg", "--test", "serum-vitamin-b12-mas"),
            "unknown laboratory test 'serum-vitamin-b12-mas'; did you mean serum-vitamin-b12-mass?",
        ),
        (("convert", "much", "ug", "mg"), "'much' is not a number: write e.g. 180.00 or '<150'"),
    ],
)
def test_an_unknown_name_exits_with_2_and_a_suggestion(arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"fhir-b12: {message}")


def test_an_unknown_command_option_or_choice_exits_with_2_and_a_suggestion():
    for arguments, message in (
        (("validat",), "error: unknown command 'validat'; did you mean validate?"),
        (("zzz",), "error: unknown command 'zzz'; `fhir-b12 --help` lists the commands"),
        (("codes", "--tabel", "x"), "error: unknown argument '--tabel'; did you mean --table?"),
        (("codes", "--tabel=x"), "error: unknown argument '--tabel=x'; did you mean --table?"),
        (("schema", "x"), "error: unknown argument 'x'"),
        (
            ("ledger", "-", "--format", "jsn"),
            "error: argument --format: unknown value 'jsn'; did you mean json?",
        ),
        (
            ("to-fhir", "-", "--type", "zzz"),
            "error: argument --type: unknown value 'zzz'; choose one of transaction, collection, ",
        ),
    ):
        code, out, err = call(*arguments)
        assert (code, out, message in err) == (2, "", True), err


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
def test_values_are_converted_with_the_precision_of_the_measurement(arguments, code, out):
    result = call("convert", *arguments)
    assert result[:2] == (code, out)
    assert bool(result[2]) == (code > 0)


def test_a_converted_value_is_written_as_a_quantity():
    out = call("convert", "<1500", "mcg", "mg", "--format", "json")[1]
    assert loads(out) | {"unit": "mg"} == loads(
        '{"value":1.500,"comparator":"<","unit":"mg",'
        '"system":"http://unitsofmeasure.org","code":"mg"}'
    )


def test_the_schema_is_valid_and_the_sample_record_conforms_to_it(demo_folder):
    schema = json.loads(call("schema")[1])
    Draft202012Validator.check_schema(schema)
    course = json.loads(Path("course.json").read_bytes())
    assert list(Draft202012Validator(schema).iter_errors(course)) == []
