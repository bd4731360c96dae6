"""`check_all` reports every fault that can be put into `mappings/`, each once."""

import shutil
from importlib.resources import as_file

import pytest

from fhir_b12 import aliases, codes, data, ucum
from fhir_b12.data import TableFault
from fhir_b12.mapping import table_check

CACHES = (
    data.toml, codes.table, codes.tables, codes._standard_systems, aliases.systems,
    aliases.units, aliases.cased_units, ucum.parse, ucum._atom,
)  # fmt: skip


@pytest.fixture
def replace(tmp_path, monkeypatch):
    """Return a function that replaces text in a copy of `mappings/`."""
    with as_file(data.mappings()) as folder:
        shutil.copytree(folder, tmp_path / "mappings")
    monkeypatch.setattr(data, "mappings", lambda: tmp_path / "mappings")

    def forget():
        for cached in CACHES:
            cached.cache_clear()

    def replace(file, old, new):
        path = tmp_path / "mappings" / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
        forget()

    forget()
    yield replace
    monkeypatch.undo()
    forget()


def test_the_shipped_tables_have_no_faults():
    assert table_check.check_all() == []


def first_loinc_row(name):
    """Return key and LOINC code of the first row of a table that has one."""
    loinc = data.toml("codes/systems.toml")["loinc"]["uri"]
    return next(
        (entry, coding.code)
        for entry in codes.table(name)
        for coding in entry.codings
        if coding.system == loinc
    )


def test_a_wrong_loinc_check_digit_is_reported_with_file_row_and_key(replace):
    entry, code = first_loinc_row("lab_tests")
    wrong = f"{code[:-1]}{(int(code[-1]) + 1) % 10}"
    replace("codes/lab_tests.toml", f'"{code}"', f'"{wrong}"')
    (fault,) = table_check.check_all()
    assert fault[:3] == ("codes/lab_tests.toml", entry.key, "codings[0].code")
    assert fault.message.startswith(f"wrong check digit in {wrong}")


def test_a_unit_that_is_not_ucum_is_reported(replace):
    entry, _ = first_loinc_row("lab_tests")
    replace("codes/lab_tests.toml", 'unit = "pg/mL"', 'unit = "pgs/mL"')
    faults = table_check.check_all()
    assert faults == [
        TableFault(
            "codes/lab_tests.toml",
            entry.key,
            "unit",
            "'pgs/mL' is not a known UCUM unit: unknown unit 'pgs'; add it to mappings/units.toml",
        )
    ]


def test_a_duplicate_code_is_reported_once(replace):
    (entry, code), other = first_loinc_row("lab_tests"), list(codes.table("lab_tests"))[1]
    replace("codes/lab_tests.toml", f'"{other.codings[0].code}"', f'"{code}"')
    faults = table_check.check_all()
    assert [fault[:3] for fault in faults] == [("codes/lab_tests.toml", other.key, "codings[0]")]
    assert f"already means {entry.key}" in faults[0].message


FAULTS = {
    "a code of another form": (
        "codes/drugs.toml", 'system = "rxnorm", code = "', 'system = "rxnorm", code = "X',
        "is not a code of",
    ),
    "a missing display": (
        "codes/systems.toml", 'check_digit = "mod-10"', 'check_digit = "mod-10"\ndisplay = false',
        "not free to ship",
    ),
    "a source outside the free sets": (
        "codes/systems.toml", '"SNOMED GPS 2020"', '"SNOMED GPS 1999"', "names none of",
    ),
    "an alias of two systems": (
        "codes/systems.toml", '"http://loinc.org/"', '"http://snomed.info/sct"', "already belongs to",
    ),
    "an unknown check digit": (
        "codes/systems.toml", '"mod-10"', '"mod-11"', "unknown 'mod-11'",
    ),
    "a spelling of two units": ("units.toml", '["mg/dl"]', '["mg/dl", "mg/ml"]', "already stands for"),
    "a spelling that is another unit": (
        "units.toml", '["mg/dl"]', '["mg/dl", "g/m3"]', "is another unit in UCUM",
    ),
    "an atom without a source": (
        "units.toml", 'source = "https://ucum.org/ucum#section-Base-Units"', 'source = ""',
        "the source is missing",
    ),
    "a kind with two names": ("units.toml", "[kinds]", '[kinds]\nweight = "g"', "already has the name"),
    "a code of a vital sign": ("vital_sign_profiles.toml", "9279-1", "9279-2", "wrong check digit"),
    "a table without a record": ("outcome.toml", '"Outcome"', '"Outcomes"', "unknown record Outcomes"),
    "a file that is not TOML": ("codes/drugs.toml", "text = ", "text ", "codes/drugs.toml"),
    "an unknown test of a row": ("patient.toml", 'field = "id"', 'feild = "id"', "feild"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_table_is_reported(name, replace):
    file, old, new, message = FAULTS[name]
    replace(file, old, new)
    faults = table_check.check_all()
    assert [fault for fault in faults if message in str(fault)]
    assert len(faults) == len(set(faults))


def test_a_mapping_table_without_a_record_type_is_reported(replace, tmp_path):
    (tmp_path / "mappings" / "immunisation.toml").write_text("")
    (fault,) = table_check.check_all()
    assert fault.file == "immunisation.toml"
    assert "no record type has this table" in fault.message


def test_a_missing_mapping_table_is_reported(replace, tmp_path):
    (tmp_path / "mappings" / "outcome.toml").unlink()
    (fault,) = table_check.check_all()
    assert (fault.file, fault.message.partition(";")[0]) == ("outcome.toml", "the file is missing")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a.toml: row: what", TableFault("a.toml", "row", "", "what")),
        ("a.toml: what", TableFault("a.toml", "", "", "what")),
        ("what", TableFault("what", "", "", "")),
    ],
)
def test_a_message_of_a_table_error_becomes_a_fault(text, fault):
    error = data.TableError(text)
    assert error.faults == (fault,)
    assert str(error) == text
