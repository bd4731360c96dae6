"""What real senders do reads as it is meant, and nothing of it is lost.  Cases: tests/cases/"""

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
#: Systems whose codes must stand in a code table; ours and HL7's own need no proof.
CLINICAL = re.compile(
    r"loinc|snomed|rxnorm|icd|whocc|urn:oid:2\.16\.840\.1\.113883\.6\.(1|3|4|88|90|96|73)$"
)


KINDS = {kind.__name__: kind for kind in (*RECORDS, TherapyRecord)}
VALUE_SETS = "http://hl7.org/fhir/ValueSet"


def every(cases):
    return pytest.mark.parametrize("case", cases, ids=str)


def read(case):
    if case.resource["resourceType"] == "Bundle":
        return from_bundle(case.resource)
    return from_fhir(case.resource)


def found(reading):
    """What came out: its kind, and as plain JSON."""
    if isinstance(reading, BundleReading):
        return "TherapyRecord", [builtins(record) for record in reading.records]
    if reading.record is None:
        return "nothing", None
    return type(reading.record).__name__, builtins(reading.record)


def wanted(case):
    """The record that a case writes out, as it is written: what it says by itself unsaid."""
    if case.reads == "nothing":
        return None
    kind = KINDS[case.reads]
    if isinstance(case.record, list):
        return [builtins(convert(record, kind)) for record in case.record]
    return builtins(convert(case.record, kind))


def exact(value):
    """JSON to the last digit, whatever the order of names."""
    return dumps(builtins(value) if isinstance(value, msgspec.Struct) else in_order(value)).decode()


def in_order(node):
    if isinstance(node, dict):
        return {name: in_order(node[name]) for name in sorted(node)}
    return [in_order(child) for child in node] if isinstance(node, list) else node


@every(CASES)
def test_it_reads_as_it_is_meant(case):
    reading = read(case)
    kind, record = found(reading)
    issues = [(each.severity, each.code, each.expression) for each in reading.issues]
    assert issues == list(case.issues)
    assert kind == case.reads
    assert exact(record) == exact(wanted(case))


@every(CASES)
def test_every_leaf_is_accounted_for_once(case):
    ledger = read(case).ledger
    paths = [path for path, _ in leaves(case.resource)]
    assert [entry.path for entry in ledger] == paths
    nothing_read = case.reads == "nothing" and case.residue is None
    residue = paths if nothing_read else list(case.residue or ())
    assert [entry.path for entry in ledger.residue] == residue


@every(READ)
def test_what_was_read_is_put_back_byte_for_byte(case):
    reading = read(case)
    if isinstance(reading, BundleReading):
        again = update_bundle(case.resource, reading.records)
    else:
        again = update(case.resource, reading.record)
    assert dumps(again) == dumps(case.resource)


@every(SINGLE)
def test_one_change_leaves_all_the_rest_as_it_was_sent(case):
    record = from_fhir(case.resource).record
    changed = update(case.resource, msgspec.structs.replace(record, language="de-CH"))
    assert changed.pop("language") == "de-CH"
    assert exact(changed) == exact(case.resource)


@every([case for case in SINGLE if case.canonical])
def test_it_is_written_just_so(case):
    assert exact(to_fhir(from_fhir(case.resource).record)) == exact(case.resource)


@every(SINGLE)
def test_what_is_written_of_it_reads_as_the_same_record(case):
    record = from_fhir(case.resource).record
    again = from_fhir(to_fhir(record))
    assert again.issues == ()
    assert exact(again.record) == exact(record)
    assert [entry.path for entry in again.ledger.residue] == []


@every(SINGLE)
def test_whatever_another_case_says_can_be_put_into_it(case):
    kin = [other for other in SINGLE if (other.theme, other.group) == (case.theme, case.group)]
    for other in kin:
        record = from_fhir(other.resource).record
        if isinstance(record, type(from_fhir(case.resource).record)):
            again = from_fhir(update(case.resource, record))
            assert (str(other), again.record, again.issues) == (str(other), record, ())


def concepts(case, fields):
    """(concept, key) of each field that a case says the meaning of."""
    for field, key in fields.items():
        node = case.record
        for name in field.split("."):
            node = node[int(name)] if isinstance(node, list) else node[name]
        yield convert(node, CodeableConcept), key


@every([case for case in CASES if case.meaning])
def test_its_concepts_are_known_by_the_code_tables(case):
    for concept, key in concepts(case, case.meaning):
        known = [(name, codes.table(name).find(concept)) for name in codes.tables()]
        keys = [f"{name}.{entry.key}" for name, entry in known if entry is not None]
        assert key in keys if key else keys == []


@every([case for case in CASES if case.mechanism])
def test_its_mechanism_is_known(case):
    tables = {"Condition": "conditions", "Procedure": "procedures", "MedicationUse": "drugs"}
    for concept, key in concepts(case, case.mechanism):
        assert codes.table(tables[case.reads]).mechanism(concept) == key


def status(case, name):
    """The code of a condition's clinical or verification status."""
    concept = case.resource.get(f"{name}Status")
    return concept and concept["coding"][0]["code"]


def codings(node):
    """Every (system, code) at any depth."""
    if isinstance(node, dict):
        if isinstance(node.get("code"), str) and CLINICAL.search(str(node.get("system"))):
            yield aliases.systems().get(node["system"], node["system"]), node["code"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from codings(child)


def test_every_clinical_code_of_the_cases_stands_in_a_code_table():
    entries = [entry for name in codes.tables() for entry in codes.table(name)]
    known = {
        (coding.system, coding.code)
        for entry in entries
        for coding in (*entry.codings, *entry.wider, *entry.read_only)
    }
    sent = {pair for case in CASES if case.theme != "traps" for pair in codings(case.resource)}
    assert sent
    assert sent - known == set()


def test_every_sentence_says_one_case():
    sentences = [str(case) for case in CASES]
    assert len(set(sentences)) == len(sentences)


def test_the_statuses_of_conditions_are_all_pairs_that_r4_allows():
    pairs = set()
    for case in CASES:
        if (case.theme, case.group, case.reads) == ("conditions", "statuses", "Condition"):
            pairs.add(tuple(status(case, name) for name in ("clinical", "verification")))
    (clinical,) = R4.value_set(f"{VALUE_SETS}/condition-clinical").values()
    (verification,) = R4.value_set(f"{VALUE_SETS}/condition-ver-status").values()
    # con-5: entered-in-error goes with no clinical status, and is not read at all
    sure = {*verification, None} - {"entered-in-error"}
    assert pairs == set(itertools.product({*clinical, None}, sure))


@every([case for case in CASES if case.theme == "conditions" and "abatement" in str(case.record)])
def test_a_condition_that_has_ended_says_so(case):
    """con-4.  https://hl7.org/fhir/R4/condition.html#invs"""
    assert status(case, "clinical") in {None, "inactive", "remission", "resolved"}


def test_the_list_for_the_documentation_names_every_case():
    lines = render().splitlines()
    assert [line for line in lines if line.startswith("- ")] == [f"- {c.sentence}" for c in CASES]
