"""Resources of real systems are read as intended and lose nothing.  Cases: tests/cases/"""

import itertools
import re

import msgspec
import pytest

from fhir_b12 import aliases, codes
from fhir_b12.bundles import BundleReading, from_bundle, update_bundle
from fhir_b12.datatypes import CodeableConcept, convert
from fhir_b12.definitions import R4
from fhir_b12.jsonio import dumps
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.lens import from_fhir, to_fhir, update
from fhir_b12.paths import leaves
from fhir_b12.records import RECORDS, TherapyRecord
from tests.cases import load
from tests.cases.__main__ import render

CASES = load()
READ = [case for case in CASES if case.reads != "nothing"]
SINGLE = [case for case in READ if case.reads != "TherapyRecord"]
#: Systems whose codes must be in a code table; our own and those of HL7 are exempt.
CLINICAL = re.compile(
    r"loinc|snomed|rxnorm|icd|whocc|urn:oid:2\.16\.840\.1\.113883\.6\.(1|3|4|88|90|96|73)$"
)


KINDS = {kind.__name__: kind for kind in (*RECORDS, TherapyRecord)}
VALUE_SETS = "http://hl7.org/fhir/ValueSet"


def for_each(cases):
    return pytest.mark.parametrize("case", cases, ids=str)


def read(case):
    if case.resource["resourceType"] == "Bundle":
        return from_bundle(case.resource)
    return from_fhir(case.resource)


def record_of(reading):
    """Return type and plain JSON of the record that was read."""
    if isinstance(reading, BundleReading):
        return "TherapyRecord", [builtins(record) for record in reading.records]
    if reading.record is None:
        return "nothing", None
    return type(reading.record).__name__, builtins(reading.record)


def expected_record(case):
    """Return the expected record of a case as plain JSON, without default values."""
    if case.reads == "nothing":
        return None
    kind = KINDS[case.reads]
    if isinstance(case.record, list):
        return [builtins(convert(record, kind)) for record in case.record]
    return builtins(convert(case.record, kind))


def to_sorted_json(value):
    """Return JSON with all digits and sorted names."""
    return dumps(
        builtins(value) if isinstance(value, msgspec.Struct) else sort_names(value)
    ).decode()


def sort_names(node):
    if isinstance(node, dict):
        return {name: sort_names(node[name]) for name in sorted(node)}
    return [sort_names(child) for child in node] if isinstance(node, list) else node


@for_each(CASES)
def test_a_case_is_read_as_its_expected_record(case):
    reading = read(case)
    kind, record = record_of(reading)
    issues = [(issue.severity, issue.code, issue.expression) for issue in reading.issues]
    assert issues == list(case.issues)
    assert kind == case.reads
    assert to_sorted_json(record) == to_sorted_json(expected_record(case))


@for_each(CASES)
def test_every_leaf_is_in_the_ledger_once(case):
    ledger = read(case).ledger
    paths = [path for path, _ in leaves(case.resource)]
    assert [entry.path for entry in ledger] == paths
    nothing_read = case.reads == "nothing" and case.residue is None
    residue = paths if nothing_read else list(case.residue or ())
    assert [entry.path for entry in ledger.residue] == residue


@for_each(READ)
def test_an_update_with_the_record_that_was_read_changes_nothing(case):
    reading = read(case)
    if isinstance(reading, BundleReading):
        again = update_bundle(case.resource, reading.records)
    else:
        again = update(case.resource, reading.record)
    assert dumps(again) == dumps(case.resource)


@for_each(SINGLE)
def test_a_change_of_one_field_changes_only_its_element(case):
    record = from_fhir(case.resource).record
    changed = update(case.resource, msgspec.structs.replace(record, language="de-CH"))
    assert changed.pop("language") == "de-CH"
    assert to_sorted_json(changed) == to_sorted_json(case.resource)


@for_each([case for case in SINGLE if case.canonical])
def test_a_canonical_case_is_written_exactly_as_it_was_read(case):
    assert to_sorted_json(to_fhir(from_fhir(case.resource).record)) == to_sorted_json(case.resource)


@for_each(SINGLE)
def test_a_written_record_reads_back_equal(case):
    record = from_fhir(case.resource).record
    again = from_fhir(to_fhir(record))
    assert again.issues == ()
    assert to_sorted_json(again.record) == to_sorted_json(record)
    assert [entry.path for entry in again.ledger.residue] == []


@for_each(SINGLE)
def test_a_resource_can_be_updated_with_the_record_of_any_case_of_its_group(case):
    others = [other for other in SINGLE if (other.theme, other.group) == (case.theme, case.group)]
    for other in others:
        record = from_fhir(other.resource).record
        if isinstance(record, type(from_fhir(case.resource).record)):
            again = from_fhir(update(case.resource, record))
            assert (str(other), again.record, again.issues) == (str(other), record, ())


def concepts_of(case, fields):
    """Yield concept and expected key for each field."""
    for field, key in fields.items():
        node = case.record
        for name in field.split("."):
            node = node[int(name)] if isinstance(node, list) else node[name]
        yield convert(node, CodeableConcept), key


@for_each([case for case in CASES if case.meaning])
def test_concepts_are_found_in_the_code_tables(case):
    for concept, key in concepts_of(case, case.meaning):
        known = [(name, codes.table(name).find(concept)) for name in codes.tables()]
        keys = [f"{name}.{entry.key}" for name, entry in known if entry is not None]
        assert key in keys if key else keys == []


@for_each([case for case in CASES if case.mechanism])
def test_concepts_have_the_expected_mechanism(case):
    tables = {"Condition": "conditions", "Procedure": "procedures", "MedicationUse": "drugs"}
    for concept, key in concepts_of(case, case.mechanism):
        assert codes.table(tables[case.reads]).mechanism(concept) == key


def status(case, name):
    """Return the code of a condition's clinical or verification status."""
    concept = case.resource.get(f"{name}Status")
    return concept and concept["coding"][0]["code"]


def codings_of(node):
    """Yield system and code of each coding at any depth."""
    if isinstance(node, dict):
        if isinstance(node.get("code"), str) and CLINICAL.search(str(node.get("system"))):
            yield aliases.systems().get(node["system"], node["system"]), node["code"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from codings_of(child)


def test_every_clinical_code_of_the_cases_is_in_a_code_table():
    entries = [entry for name in codes.tables() for entry in codes.table(name)]
    known = {
        (coding.system, coding.code)
        for entry in entries
        for coding in (*entry.codings, *entry.wider, *entry.read_only)
    }
    sent = {pair for case in CASES if case.theme != "traps" for pair in codings_of(case.resource)}
    assert sent
    assert sent - known == set()


def test_titles_of_cases_are_unique():
    titles = [str(case) for case in CASES]
    assert len(set(titles)) == len(titles)


def test_cases_cover_all_pairs_of_condition_statuses_allowed_by_r4():
    pairs = set()
    for case in CASES:
        if (case.theme, case.group, case.reads) == ("conditions", "statuses", "Condition"):
            pairs.add(tuple(status(case, name) for name in ("clinical", "verification")))
    (clinical,) = R4.value_set(f"{VALUE_SETS}/condition-clinical").values()
    (verification,) = R4.value_set(f"{VALUE_SETS}/condition-ver-status").values()
    # con-5: entered-in-error allows no clinical status; such conditions are not read
    sure = {*verification, None} - {"entered-in-error"}
    assert pairs == set(itertools.product({*clinical, None}, sure))


@for_each(
    [case for case in CASES if case.theme == "conditions" and "abatement" in str(case.record)]
)
def test_a_condition_with_abatement_has_a_status_allowed_by_con_4(case):
    """con-4.  https://hl7.org/fhir/R4/condition.html#invs"""
    assert status(case, "clinical") in {None, "inactive", "remission", "resolved"}


def test_the_documentation_list_has_every_case():
    lines = render().splitlines()
    assert [line for line in lines if line.startswith("- ")] == [f"- {c.title}" for c in CASES]
