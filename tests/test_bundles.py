"""Bundles: a whole record there and back, real Bundles of any kind, nothing lost."""

import bz2
import os
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from fhir_b12.bundles import from_bundle, to_bundle, update_bundle
from fhir_b12.datatypes import CodeableConcept, DateTime, Identifier, Period, Quantity, Reference
from fhir_b12.jsonio import loads
from fhir_b12.paths import leaves
from fhir_b12.records import Infusion, LabResult, Patient, TherapyRecord

FIXTURES = Path(os.environ.get("FHIR_B12_FIXTURES", "../shared/fixtures"))
BUNDLES = sorted(FIXTURES.glob("synthea/*.bz2")) + sorted(FIXTURES.glob("*/Bundle/*.json"))
CLINIC = "https://clinic.example/id"


def name(value):
    return (Identifier(system=CLINIC, value=value),)


def to(value):
    return Reference(identifier=Identifier(system=CLINIC, value=value))


COURSE = TherapyRecord(
    patient=Patient(identifier=name("p1"), gender="female"),
    infusions=(
        Infusion(
            identifier=name("i1"),
            status="completed",
            drug=CodeableConcept(text="Hydroxocobalamin"),
            route=CodeableConcept(text="IV"),
            patient=to("p1"),
            given=Period(start=DateTime("2026-03-09T09:15:00+01:00")),
            dose=Quantity(value=Decimal(1000), unit="ug", code="ug"),
        ),
    ),
    lab_results=(
        LabResult(
            identifier=name("l1"),
            status="final",
            test=CodeableConcept(text="Vitamin B12"),
            patient=to("p1"),
        ),
    ),
)


def test_a_record_comes_back_identical_from_its_bundle():
    reading = from_bundle(to_bundle(COURSE))
    assert reading.records == (COURSE,)
    assert reading.issues == ()
    assert [entry for entry in reading.ledger if entry.kind == "residue"] == []


def test_the_bundle_is_the_same_each_time_and_creates_nothing_twice():
    bundle = to_bundle(COURSE)
    assert msgspec.json.encode(bundle, enc_hook=str) == msgspec.json.encode(
        to_bundle(COURSE), enc_hook=str
    )
    assert [entry["request"]["ifNoneExist"] for entry in bundle["entry"]] == [
        f"identifier=https%3A%2F%2Fclinic.example%2Fid%7C{value}" for value in ("p1", "i1", "l1")
    ]


def test_references_inside_go_by_urn_uuid():
    patient, infusion, _ = to_bundle(COURSE)["entry"]
    assert infusion["resource"]["subject"] == {"reference": patient["fullUrl"]}
    assert patient["fullUrl"].startswith("urn:uuid:")


def test_the_order_of_entries_is_of_no_account():
    bundle = to_bundle(COURSE)
    bundle["entry"].reverse()
    assert from_bundle(bundle).records == (COURSE,)


def test_a_changed_record_changes_its_entry_alone():
    bundle = to_bundle(COURSE)
    bundle["entry"].append({"resource": {"resourceType": "Claim", "status": "active"}})
    lab = msgspec.structs.replace(COURSE.lab_results[0], status="amended")
    changed = update_bundle(bundle, [msgspec.structs.replace(COURSE, lab_results=(lab,))])
    assert [a == b for a, b in zip(bundle["entry"], changed["entry"], strict=True)] == [
        True,
        True,
        False,
        True,
    ]
    assert from_bundle(changed).records[0].lab_results == (lab,)


def test_a_new_record_is_added_and_one_that_is_gone_loses_its_entry():
    bundle = to_bundle(COURSE)
    new = msgspec.structs.replace(COURSE.lab_results[0], identifier=name("l2"))
    wanted = msgspec.structs.replace(COURSE, lab_results=(new,))
    changed = update_bundle(bundle, [wanted])
    assert len(changed["entry"]) == 3
    assert from_bundle(changed).records == (wanted,)


def test_duplicates_and_dangling_references_are_reported():
    bundle = to_bundle(COURSE)
    bundle["entry"].append(bundle["entry"][2])
    bundle["entry"][1]["resource"]["subject"] = {"reference": "urn:uuid:0"}
    found = [(issue.code, issue.expression) for issue in from_bundle(bundle).issues]
    assert found == [
        ("duplicate", "Bundle.entry[3].resource"),
        ("duplicate", "Bundle.entry[3].resource"),
        ("not-found", "Bundle.entry[1].resource"),
    ]


@pytest.mark.parametrize(
    "bundle",
    [None, 3, "x", [], [None, {}], {}, {"resourceType": "Bundle", "entry": {}},
     {"resourceType": "Bundle", "entry": [None, 1, {"resource": 1}, {"resource": {}}]},
     {"resourceType": 5}, {"resourceType": "Observation", "status": {}, "code": [[]]}],
    ids=str,
)  # fmt: skip
def test_whatever_is_given_nothing_escapes_and_every_leaf_is_accounted_for(bundle):
    reading = from_bundle(bundle)
    assert len(reading.ledger) >= 0
    assert all(not list(record) or record.patient is None for record in reading.records)


@pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)
def test_real_bundles_keep_the_laws(path):
    raw = path.read_bytes()
    bundle = loads(bz2.decompress(raw) if path.suffix == ".bz2" else raw)
    reading = from_bundle(bundle)
    assert [entry.path for entry in reading.ledger] == [at for at, _ in leaves(bundle)]
    assert update_bundle(bundle, reading.records) is bundle


@pytest.mark.skipif(bool(BUNDLES), reason="the fixtures are there")
def test_real_bundles_are_there():
    pytest.skip(f"no Bundles under {FIXTURES}: set FHIR_B12_FIXTURES")
