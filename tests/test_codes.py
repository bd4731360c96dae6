"""Code tables: valid codes, unambiguous, found by code and by text.  Data: mappings/codes/"""

import itertools
import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from fhir_b12 import codes, data, ucum, units
from fhir_b12.datatypes import CodeableConcept, Coding, Quantity
from fhir_b12.definitions import R4
from fhir_b12.paths import leaves

HERE = Path(__file__).parent / "data"
SYSTEMS = data.toml("codes/systems.toml")
NAMES = {row["uri"]: name for name, row in SYSTEMS.items()}
TABLES = [codes.table(name) for name in codes.tables()]
ENTRIES = [(table, entry) for table in TABLES for entry in table]


def for_each(table):
    return pytest.mark.parametrize("table", table, ids=lambda table: table.name)


def load_cases(name):
    return tomllib.loads((HERE / name).read_text("utf-8"))


def all_codings(entry):
    return (*entry.codings, *entry.wider, *entry.read_only)


def has_mod_10_check_digit(code):
    """Return True if the last digit is the check digit of a LOINC code.  https://loinc.org/kb/faq/structure/"""
    body, dash, check = code.partition("-")
    if not (dash and body.isdecimal() and check.isdecimal() and len(check) == 1):
        return False
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(body))]
    return (sum(sum(divmod(d, 10)) for d in doubled) + int(check)) % 10 == 0


def multiply(a, b):
    """Multiply in the dihedral group D5 (rotations 0 to 4, reflections 5 to 9)."""
    turned = (a + b if a < 5 else a - b) % 5
    return turned if (a < 5) == (b < 5) else turned + 5


def permute(digit, times):
    for _ in range(times):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit


def has_verhoeff_check_digit(code):
    """Return True if the last digit is the check digit of a SNOMED CT code.

    https://confluence.ihtsdotools.org/display/DOCRELFMT
    """
    if not re.fullmatch(r"[1-9]\d{5,17}", code):
        return False
    sum_ = 0
    for position, digit in enumerate(reversed(code)):
        sum_ = multiply(sum_, permute(int(digit), position % 8))
    return sum_ == 0


def matches(pattern):
    return lambda code: re.fullmatch(pattern, code) is not None


TERM = matches(r"[a-z]+(-[a-z]+)*")
FORMS = {
    "loinc": has_mod_10_check_digit,
    "sct": has_verhoeff_check_digit,
    "rxnorm": matches(r"[1-9]\d{0,7}"),
    "icd10cm": matches(r"[A-TV-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?"),
    "icd10": matches(r"[A-TV-Z]\d\d(\.\d)?"),
    "icd10pcs": matches(r"[0-9A-HJ-NP-Z]{7}"),
    "atc": matches(r"[A-DGHJL-NPRSV]\d\d[A-Z]{2}\d\d"),
    "ndc": matches(r"\d{4,5}-\d{3,4}-\d{1,2}"),
    "unii": matches(r"[0-9A-Z]{10}"),
    "medication-admin-status": TERM,
    "medication-admin-category": TERM,
    "med-admin-perform-function": TERM,
    "reason-medication-given": TERM,
    "condition-category": TERM,
    "observation-category": TERM,
    "us-core-condition-category": TERM,
}  # fmt: skip
#: Systems whose displays may not be shipped.
WITHOUT_TEXT = {"icd10", "atc", "ndc", "unii"}


@for_each(TABLES)
def test_every_code_has_the_form_of_its_system(table):
    written = [(NAMES[c.system], c.code) for entry in table for c in all_codings(entry)]
    assert [(name, code) for name, code in written if not FORMS[name](code)] == []


@pytest.mark.parametrize("name", ["loinc", "sct"])
def test_a_check_digit_catches_each_single_wrong_digit(name):
    known = [c.code for _, e in ENTRIES for c in all_codings(e) if NAMES[c.system] == name]
    for code in known[::7]:
        digits = [i for i, sign in enumerate(code) if sign.isdecimal()]
        wrong = [f"{code[:i]}{(int(code[i]) + 1) % 10}{code[i + 1 :]}" for i in digits]
        assert [code for code in wrong if FORMS[name](code)] == []


@for_each(TABLES)
def test_a_coding_has_a_display_unless_the_system_forbids_shipping_it(table):
    wrong = [
        (entry.key, c.code)
        for entry in table
        for c in all_codings(entry)
        if (c.display is None) != (NAMES[c.system] in WITHOUT_TEXT)
    ]
    assert wrong == []


@for_each(TABLES)
def test_snomed_codes_are_from_the_free_sets(table):
    snomed = [e for e in table if any(NAMES[c.system] == "sct" for c in all_codings(e))]
    free = re.compile("SNOMED (GPS 2020|IPS Free Set 2022)")
    assert [entry.key for entry in snomed if not free.search(entry.source)] == []


@for_each(TABLES)
def test_a_code_identifies_its_concept_as_coding_and_in_a_codeable_concept(table):
    lost = [
        (entry.key, c.code)
        for entry in table
        for c in (*entry.codings, *entry.read_only)
        for form in (c, CodeableConcept(coding=(c,)), CodeableConcept(coding=(c,), text="other"))
        if table.find(form) is not entry
    ]
    assert lost == []


@for_each(TABLES)
def test_a_written_concept_with_codes_is_found_again(table):
    assert [e.key for e in table if e.codings and table.find(e.concept) is not e] == []


@for_each(TABLES)
def test_a_wider_code_does_not_identify_the_concept(table):
    assert [(e.key, c.code) for e in table for c in e.wider if table.find(c) is e] == []


@for_each(TABLES)
def test_a_written_concept_with_text_is_found_again(table):
    worded = [e for e in table if e.spellings and (e.codings or e.wider)]
    assert [
        e.key
        for e in worded
        if table.find(CodeableConcept(coding=e.concept.coding, text=e.spellings[0])) is not e
    ] == []


def test_the_narrower_of_two_codes_counts_in_any_order():
    table = codes.table("vital_signs")
    narrow = table["spo2-by-pulse-oximetry"]
    both = narrow.concept.coding
    assert len(both) == 2
    for coding in (both, both[::-1]):
        assert table.find(CodeableConcept(coding=coding)) is narrow


def test_the_text_counts_beside_a_local_code_but_not_beside_a_standard_code():
    table = codes.table("routes")
    local = Coding(system="https://clinic.example/route", code="7")
    standard = Coding(system=SYSTEMS["sct"]["uri"], code="0")
    assert table.find(CodeableConcept(coding=(local,), text="IV")) is table["intravenous"]
    assert table.find(CodeableConcept(coding=(standard,), text="IV")) is None
    assert table.find(CodeableConcept(coding=(local, standard), text="IV")) is None


def test_a_coding_without_code_is_found_by_its_text():
    table = codes.table("lab_tests")
    loinc = SYSTEMS["loinc"]["uri"]
    silent = CodeableConcept(coding=(Coding(system=loinc, display="x"),), text="Vitamin B12")
    assert table.find(silent) is table.find(CodeableConcept(text="Vitamin B12")) is not None
    named = CodeableConcept(coding=(Coding(display="Intravenous"),))
    assert codes.table("routes").find(named) is codes.table("routes")["intravenous"]


@for_each(TABLES)
def test_a_code_that_is_read_only_is_never_written(table):
    assert [(e.key, c.code) for e in table for c in e.read_only if c in e.concept.coding] == []


@for_each(TABLES)
def test_a_concept_is_found_by_its_spellings_ignoring_case_and_spaces(table):
    lost = [
        (entry.key, text)
        for entry in table
        for spelling in entry.spellings
        for text in (spelling, spelling.upper(), f"  {spelling.replace(' ', '   ')} ")
        if table.find(CodeableConcept(text=text)) is not entry
    ]
    assert lost == []


@for_each(TABLES)
def test_a_written_concept_without_codes_is_found_again_by_its_text(table):
    bare = [entry for entry in table if not entry.codings and not entry.wider]
    assert [entry.key for entry in bare if table.find(entry.concept) is not entry] == []


@for_each(TABLES)
def test_every_unit_is_a_valid_ucum_code(table):
    for unit in {entry.unit for entry in table if entry.unit}:
        assert ucum.parse(unit)


def test_tests_of_one_analyte_convert_into_each_other():
    by_analyte = itertools.groupby(
        sorted((e for e in codes.table("lab_tests") if e.analyte and e.unit), key=_analyte),
        key=_analyte,
    )
    pairs = [(analyte, {e.unit for e in tests}) for analyte, tests in by_analyte]
    assert {analyte for analyte, _ in pairs} == set(data.toml("codes/analytes.toml"))
    for analyte, analyte_units in pairs:
        for one, other in itertools.permutations(analyte_units, 2):
            converted = units.convert(Quantity(value=Decimal(1), unit=one), other, analyte)
            assert converted.issues == (), (analyte, one, other)


def _analyte(entry):
    return entry.analyte


def test_every_alias_of_a_system_identifies_the_same_concept():
    by_system = {c.system: (t, e, c) for t, e in ENTRIES for c in e.codings}
    for row in SYSTEMS.values():
        if row["uri"] not in by_system:
            continue
        table, entry, coding = by_system[row["uri"]]
        for alias in row.get("aliases", ()):
            assert table.find(Coding(system=alias, code=coding.code)) is entry


TRAPS = [
    pytest.param(name, code, row.get("means"), id=f"{name}-{code}: {row['why']}")
    for name, rows in load_cases("traps.toml").items()
    for code, row in rows.items()
    if name != "ucum"
]


@pytest.mark.parametrize(("name", "code", "means"), TRAPS)
def test_a_commonly_misused_code_identifies_its_real_meaning_or_nothing(name, code, means):
    coding = Coding(system=SYSTEMS[name]["uri"], code=code)
    entries = {f"{table.name}.{entry.key}" for table in TABLES if (entry := table.find(coding))}
    assert entries == ({means} if means else set())


@pytest.mark.parametrize("text", load_cases("traps.toml")["ucum"])
def test_a_text_is_not_a_valid_ucum_unit(text):
    with pytest.raises(ucum.UnitError):
        ucum.parse(text)


MECHANISMS = load_cases("mechanisms.toml")


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_concept_has_the_mechanism_of_its_case(name):
    case = MECHANISMS[name]
    coding = [
        Coding(system=SYSTEMS[c["system"]]["uri"], code=c["code"]) for c in case.get("coding", ())
    ]
    concept = CodeableConcept(coding=tuple(coding), text=case.get("text"))
    assert codes.table(case["table"]).mechanism(concept) == case.get("is")


def test_every_mechanism_has_a_case():
    named = {case.get("is") for case in MECHANISMS.values()} - {None}
    assert named == {entry.key for entry in codes.table("mechanisms")}


EXPORTS = {
    "CodeSystem": codes.code_system,
    "ValueSet": codes.value_set,
    "ConceptMap": codes.concept_map,
}


@for_each(TABLES)
@pytest.mark.parametrize("kind", EXPORTS)
def test_an_exported_resource_has_only_elements_and_codes_of_r4(kind, table):
    resource = EXPORTS[kind](table.name)
    assert resource["resourceType"] == kind
    for path, value in leaves(resource):
        full = f"{kind}.{path}"
        if path == "resourceType":
            continue
        assert R4.element(full) is not None, full
        allowed = R4.codes(full)
        assert allowed is None or value in allowed, full


def mechanism_coding(key):
    return Coding(system="https://fhir-b12.org/CodeSystem/mechanisms", code=key)


@for_each(TABLES)
def test_exports_have_the_same_codes_as_the_table(table):
    written = {(c.system, c.code) for e in table for c in e.codings}
    defined = [concept["code"] for concept in codes.code_system(table.name)["concept"]]
    assert defined == [entry.key for entry in table]
    included = codes.value_set(table.name)["compose"]["include"]
    own = codes.code_system(table.name)["url"]
    assert {(i["system"], c["code"]) for i in included for c in i.get("concept", ())} == written
    assert written or included == [{"system": own}]
    mapped = [
        (element["code"], group["target"], target["code"], target["equivalence"])
        for group in codes.concept_map(table.name).get("group", ())
        for element in group["element"]
        for target in element["target"]
    ]
    assert sorted(mapped) == sorted(
        (e.key, c.system, c.code, says)
        for e in table
        for says, codings in (
            ("equivalent", e.codings),
            ("wider", e.wider),
            ("relatedto", [mechanism_coding(e.mechanism)] if e.mechanism else []),
        )
        for c in codings
    )


@pytest.mark.parametrize("code", ["2132-9", "14685-2", "8480-6", "8462-4", "39156-5", "718-7"])
def test_only_the_correct_loinc_check_digit_is_accepted(code):
    number = code[:-1]
    accepted = [digit for digit in "0123456789" if codes.has_mod_10_check_digit(number + digit)]
    assert accepted == [code[-1]]
