"""The code tables: right in form, injective, looked up both ways.  Data: mappings/codes/"""

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


def every(table):
    return pytest.mark.parametrize("table", table, ids=lambda each: each.name)


def cases(name):
    return tomllib.loads((HERE / name).read_text("utf-8"))


def all_codings(entry):
    return (*entry.codings, *entry.wider, *entry.read_only)


def keep_mod_10(code):
    """LOINC: the last digit checks the others.  https://loinc.org/kb/faq/structure/"""
    body, dash, check = code.partition("-")
    if not (dash and body.isdecimal() and check.isdecimal() and len(check) == 1):
        return False
    doubled = [int(d) * (2 - i % 2) for i, d in enumerate(reversed(body))]
    return (sum(sum(divmod(d, 10)) for d in doubled) + int(check)) % 10 == 0


def multiply(a, b):
    """In the group of a pentagon's turns (0 to 4) and mirrors (5 to 9)."""
    turned = (a + b if a < 5 else a - b) % 5
    return turned if (a < 5) == (b < 5) else turned + 5


def permuted(digit, times):
    for _ in range(times):
        digit = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[digit]
    return digit


def keeps_verhoeff(code):
    """SNOMED CT: the last digit checks the others.  https://confluence.ihtsdotools.org/display/DOCRELFMT"""
    if not re.fullmatch(r"[1-9]\d{5,17}", code):
        return False
    sum_ = 0
    for place, digit in enumerate(reversed(code)):
        sum_ = multiply(sum_, permuted(int(digit), place % 8))
    return sum_ == 0


def like(pattern):
    return lambda code: re.fullmatch(pattern, code) is not None


TERM = like(r"[a-z]+(-[a-z]+)*")
FORMS = {
    "loinc": keep_mod_10,
    "sct": keeps_verhoeff,
    "rxnorm": like(r"[1-9]\d{0,7}"),
    "icd10cm": like(r"[A-TV-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?"),
    "icd10": like(r"[A-TV-Z]\d\d(\.\d)?"),
    "icd10pcs": like(r"[0-9A-HJ-NP-Z]{7}"),
    "atc": like(r"[A-DGHJL-NPRSV]\d\d[A-Z]{2}\d\d"),
    "ndc": like(r"\d{4,5}-\d{3,4}-\d{1,2}"),
    "unii": like(r"[0-9A-Z]{10}"),
    "medication-admin-status": TERM,
    "medication-admin-category": TERM,
    "med-admin-perform-function": TERM,
    "reason-medication-given": TERM,
    "condition-category": TERM,
    "observation-category": TERM,
    "us-core-condition-category": TERM,
}  # fmt: skip
#: Whose texts are not free to ship.
WITHOUT_TEXT = {"icd10", "atc", "ndc", "unii"}


@every(TABLES)
def test_every_code_has_the_form_of_its_system(table):
    found = [(NAMES[c.system], c.code) for entry in table for c in all_codings(entry)]
    assert [(name, code) for name, code in found if not FORMS[name](code)] == []


@pytest.mark.parametrize("name", ["loinc", "sct"])
def test_a_check_digit_catches_each_single_wrong_digit(name):
    known = [c.code for _, e in ENTRIES for c in all_codings(e) if NAMES[c.system] == name]
    for code in known[::7]:
        digits = [i for i, sign in enumerate(code) if sign.isdecimal()]
        wrong = [f"{code[:i]}{(int(code[i]) + 1) % 10}{code[i + 1 :]}" for i in digits]
        assert [each for each in wrong if FORMS[name](each)] == []


@every(TABLES)
def test_a_display_stands_where_it_is_free_and_nowhere_else(table):
    wrong = [
        (entry.key, c.code)
        for entry in table
        for c in all_codings(entry)
        if (c.display is None) != (NAMES[c.system] in WITHOUT_TEXT)
    ]
    assert wrong == []


@every(TABLES)
def test_snomed_codes_come_from_the_free_sets(table):
    snomed = [e for e in table if any(NAMES[c.system] == "sct" for c in all_codings(e))]
    free = re.compile("SNOMED (GPS 2020|IPS Free Set 2022)")
    assert [entry.key for entry in snomed if not free.search(entry.source)] == []


@every(TABLES)
def test_a_code_identifies_its_concept_however_it_comes(table):
    lost = [
        (entry.key, c.code)
        for entry in table
        for c in (*entry.codings, *entry.read_only)
        for form in (c, CodeableConcept(coding=(c,)), CodeableConcept(coding=(c,), text="other"))
        if table.find(form) is not entry
    ]
    assert lost == []


@every(TABLES)
def test_what_is_written_for_a_coded_concept_leads_back_to_it(table):
    assert [e.key for e in table if e.codings and table.find(e.concept) is not e] == []


@every(TABLES)
def test_a_wider_code_never_identifies_the_concept_it_stands_beside(table):
    assert [(e.key, c.code) for e in table for c in e.wider if table.find(c) is e] == []


@every(TABLES)
def test_what_is_written_for_a_concept_with_words_leads_back_to_it(table):
    worded = [e for e in table if e.spellings and (e.codings or e.wider)]
    assert [
        e.key
        for e in worded
        if table.find(CodeableConcept(coding=e.concept.coding, text=e.spellings[0])) is not e
    ] == []


def test_of_two_codes_the_narrower_counts_in_any_order():
    table = codes.table("vital_signs")
    narrow = table["spo2-by-pulse-oximetry"]
    both = narrow.concept.coding
    assert len(both) == 2
    for coding in (both, both[::-1]):
        assert table.find(CodeableConcept(coding=coding)) is narrow


def test_words_count_beside_a_local_code_and_not_beside_a_standard_one():
    table = codes.table("routes")
    local = Coding(system="https://clinic.example/route", code="7")
    standard = Coding(system=SYSTEMS["sct"]["uri"], code="0")
    assert table.find(CodeableConcept(coding=(local,), text="IV")) is table["intravenous"]
    assert table.find(CodeableConcept(coding=(standard,), text="IV")) is None
    assert table.find(CodeableConcept(coding=(local, standard), text="IV")) is None


def test_a_coding_without_code_says_no_more_than_its_words():
    table = codes.table("lab_tests")
    loinc = SYSTEMS["loinc"]["uri"]
    silent = CodeableConcept(coding=(Coding(system=loinc, display="x"),), text="Vitamin B12")
    assert table.find(silent) is table.find(CodeableConcept(text="Vitamin B12")) is not None
    named = CodeableConcept(coding=(Coding(display="Intravenous"),))
    assert codes.table("routes").find(named) is codes.table("routes")["intravenous"]


@every(TABLES)
def test_a_code_that_is_read_only_is_never_written(table):
    assert [(e.key, c.code) for e in table for c in e.read_only if c in e.concept.coding] == []


@every(TABLES)
def test_a_concept_is_found_by_its_spellings_whatever_case_and_spaces(table):
    lost = [
        (entry.key, text)
        for entry in table
        for spelling in entry.spellings
        for text in (spelling, spelling.upper(), f"  {spelling.replace(' ', '   ')} ")
        if table.find(CodeableConcept(text=text)) is not entry
    ]
    assert lost == []


@every(TABLES)
def test_a_concept_without_code_is_found_by_the_words_written_for_it(table):
    bare = [entry for entry in table if not entry.codings and not entry.wider]
    assert [entry.key for entry in bare if table.find(entry.concept) is not entry] == []


@every(TABLES)
def test_every_unit_is_ucum(table):
    for unit in {entry.unit for entry in table if entry.unit}:
        assert ucum.parse(unit)


def test_tests_of_one_analyte_convert_into_each_other():
    by_analyte = itertools.groupby(
        sorted((e for e in codes.table("lab_tests") if e.analyte and e.unit), key=_analyte),
        key=_analyte,
    )
    pairs = [(analyte, {e.unit for e in tests}) for analyte, tests in by_analyte]
    assert {analyte for analyte, _ in pairs} == set(data.toml("codes/analytes.toml"))
    for analyte, found in pairs:
        for one, other in itertools.permutations(found, 2):
            converted = units.convert(Quantity(value=Decimal(1), unit=one), other, analyte)
            assert converted.issues == (), (analyte, one, other)


def _analyte(entry):
    return entry.analyte


def test_every_spelling_of_a_system_leads_to_the_same_concept():
    by_system = {c.system: (t, e, c) for t, e in ENTRIES for c in e.codings}
    for row in SYSTEMS.values():
        if row["uri"] not in by_system:
            continue
        table, entry, coding = by_system[row["uri"]]
        for alias in row.get("aliases", ()):
            assert table.find(Coding(system=alias, code=coding.code)) is entry


TRAPS = [
    pytest.param(name, code, row.get("means"), id=f"{name}-{code}: {row['why']}")
    for name, rows in cases("traps.toml").items()
    for code, row in rows.items()
    if name != "ucum"
]


@pytest.mark.parametrize(("name", "code", "means"), TRAPS)
def test_a_wrong_code_that_circulates_identifies_nothing_or_what_it_means(name, code, means):
    coding = Coding(system=SYSTEMS[name]["uri"], code=code)
    found = {f"{table.name}.{entry.key}" for table in TABLES if (entry := table.find(coding))}
    assert found == ({means} if means else set())


@pytest.mark.parametrize("text", cases("traps.toml")["ucum"])
def test_a_text_for_a_unit_is_no_unit(text):
    with pytest.raises(ucum.UnitError):
        ucum.parse(text)


MECHANISMS = cases("mechanisms.toml")


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_concept_names_the_step_of_absorption_it_breaks(name):
    case = MECHANISMS[name]
    coding = [
        Coding(system=SYSTEMS[c["system"]]["uri"], code=c["code"]) for c in case.get("coding", ())
    ]
    concept = CodeableConcept(coding=tuple(coding), text=case.get("text"))
    assert codes.table(case["table"]).mechanism(concept) == case.get("is")


def test_every_step_has_its_case():
    named = {case.get("is") for case in MECHANISMS.values()} - {None}
    assert named == {entry.key for entry in codes.table("mechanisms")}


EXPORTS = {
    "CodeSystem": codes.code_system,
    "ValueSet": codes.value_set,
    "ConceptMap": codes.concept_map,
}


@every(TABLES)
@pytest.mark.parametrize("kind", EXPORTS)
def test_an_export_is_a_resource_of_r4(kind, table):
    resource = EXPORTS[kind](table.name)
    assert resource["resourceType"] == kind
    for path, value in leaves(resource):
        full = f"{kind}.{path}"
        if path == "resourceType":
            continue
        assert R4.element(full) is not None, full
        allowed = R4.codes(full)
        assert allowed is None or value in allowed, full


def step(key):
    return Coding(system="https://fhir-b12.org/CodeSystem/mechanisms", code=key)


@every(TABLES)
def test_the_exports_hold_what_the_table_holds(table):
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
            ("relatedto", [step(e.mechanism)] if e.mechanism else []),
        )
        for c in codings
    )


@pytest.mark.parametrize("code", ["2132-9", "14685-2", "8480-6", "8462-4", "39156-5", "718-7"])
def test_the_check_digit_of_a_loinc_code_is_the_only_one_accepted(code):
    number = code[:-1]
    accepted = [digit for digit in "0123456789" if codes.has_mod_10_check_digit(number + digit)]
    assert accepted == [code[-1]]
