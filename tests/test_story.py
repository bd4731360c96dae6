"""The demo's record tells the whole story: here, in its Bundle, and read back.  Cases: tests/data/story.toml"""

import json
import os
import subprocess
import tomllib
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from fhir_b12 import codes, data, plain, references, units
from fhir_b12.bundles import from_bundle, to_bundle
from fhir_b12.datatypes import Coding
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.lens import to_fhir
from fhir_b12.records import RECORDS, names
from tests.requirements import skip_missing

STORY = tomllib.loads((Path(__file__).parent / "data" / "story.toml").read_text("utf-8"))
#: Steps of a visit in their order.
STEPS = ("checking-patient-identity", "review-of-history", "review-of-medication",
         "review-of-systems", "taking-patient-vital-signs", "choice-of-the-site", "skin-antisepsis",
         "insertion-of-the-cannula", "monitoring-of-bp-temperature-pulse-and-respiratory-rate",
         "removing-intravenous-infusion", "application-of-dressing")  # fmt: skip
BEFORE_AND_AFTER = ("serum-vitamin-b12-mass", "active-b12-holotranscobalamin",
                    "methylmalonic-acid-serum-plasma-moles", "total-homocysteine-moles",
                    "folate-serum-plasma-mass", "haemoglobin-mass", "mcv-automated",
                    "platelets-automated", "creatinine-mass", "ferritin")  # fmt: skip
OVER_TIME = ("energy", "cognition", "mood", "sleep-quality", "stamina", "skin-hair-and-nails",
             "immune-function", "heart-health", "numbness-finding", "paresthesia",
             "impairment-of-balance", "fatigue", "sleep-disturbance", "phq-9-total-score",
             "moca-total-score")  # fmt: skip


@cache
def course():
    raw = data.read(data.mappings().joinpath("demo"), "course.json")
    record, issues = plain.from_plain(loads(raw))
    assert issues == ()
    return record


@cache
def bundle():
    return loads(dumps(to_bundle(course())))


@cache
def read_back():
    (record,) = from_bundle(bundle()).records
    return record


def records(kind, record):
    return [builtins(each) for each in record if type(each).__name__ == kind]


def resources(kind):
    """The resources that records of one kind became."""
    pairs = zip(course(), bundle()["entry"], strict=True)
    return [entry["resource"] for each, entry in pairs if type(each).__name__ == kind]


def nodes(value):
    yield value
    children = value.values() if isinstance(value, dict) else value
    if isinstance(children, str) or not hasattr(children, "__iter__"):
        return
    for child in children:
        yield from nodes(child)


def like(value, pattern):
    """True where everything the pattern says stands in the value."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            like(value.get(name), part) for name, part in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(like(item, part) for item in value) for part in pattern
        )
    return value == pattern


def hold(wanted, case, form):
    """True where one of the records or resources holds the concept of a case."""
    if "table" in case:
        concept = builtins(codes.table(case["table"])[case["key"]].concept)
        return any(node == concept for each in wanted for node in nodes(each))
    return any(like(each, case[form]) for each in wanted)


@pytest.mark.parametrize("name", STORY)
def test_a_concept_of_the_story_stands_in_the_record(name):
    case = STORY[name]
    assert hold(records(case["record"], course()), case, "holds")


@pytest.mark.parametrize("name", STORY)
def test_a_concept_of_the_story_stands_in_fhir(name):
    case = STORY[name]
    assert hold(resources(case["record"]), case, "fhir")


@pytest.mark.parametrize("name", STORY)
def test_a_concept_of_the_story_comes_back(name):
    case = STORY[name]
    assert hold(records(case["record"], read_back()), case, "holds")


def test_a_concept_that_is_not_there_is_not_found():
    case = {"table": "reactions", "key": "anaphylaxis"}
    assert not hold(records("Reaction", course()), case, "holds")
    assert not hold(resources("FollowUp"), {"fhir": {"status": "cancelled"}}, "fhir")


def test_every_kind_of_record_occurs():
    assert {type(each) for each in course()} == set(RECORDS)
    assert {case["record"] for case in STORY.values()} == {kind.__name__ for kind in RECORDS}


def test_the_record_comes_back_identical_and_nothing_is_left_over():
    reading = from_bundle(bundle())
    assert reading.records == (course(),)
    assert reading.issues == ()
    assert [entry for entry in reading.ledger if entry.kind == "residue"] == []


def test_every_record_has_its_own_name_and_every_reference_by_name_leads_to_one():
    known = [(n.system, n.value) for each in course() for n in names(each)[:1]]
    assert len(known) == len(set(known)) == len(list(course()))
    led = {
        key
        for each in course()
        for r in references.references_in(each)
        if (key := references.identifier_key(r))
    }
    assert led - set(known) == set()


def test_an_infusion_runs_twenty_to_thirty_minutes_inside_its_visit():
    visits = {names(each)[0]: each.period for each in course().sessions}
    done = [each for each in course().infusions if each.status == "completed"]
    for each in done:
        visit = visits[each.session.identifier]
        assert moment(visit.start) < moment(each.given.start)
        assert moment(each.given.end) < moment(visit.end)
        lasts = moment(each.given.end) - moment(each.given.start)
        assert timedelta(minutes=20) <= lasts <= timedelta(minutes=30)
    assert {each.session.identifier for each in done} == set(visits)


def test_the_bag_holds_the_dose():
    for each in course().infusions:
        if each.bag is None:
            continue
        (strength,) = [part.strength for part in each.bag.ingredient if part.is_active]
        assert (strength.numerator, strength.denominator) == (each.dose, each.bag.amount.numerator)


def test_the_rate_is_the_volume_over_the_time():
    for each in course().infusions:
        if each.bag is None:
            continue
        minutes = (moment(each.given.end) - moment(each.given.start)).seconds // 60
        volume = each.bag.amount.numerator.value
        if each.rate_ratio is not None:
            assert (each.rate_ratio.numerator.value, each.rate_ratio.denominator.value) == (
                volume,
                minutes,
            )
        else:
            assert each.rate.value * minutes == volume * 60


def test_every_visit_has_all_its_steps_in_their_order():
    table = codes.table("steps")
    for visit in course().sessions:
        steps = [each for each in course().steps if each.session.identifier == names(visit)[0]]
        assert [table.find(each.code).key for each in steps] == list(STEPS)
        begun = [moment(each.performed or each.performed_period.start) for each in steps]
        assert all(one < next_ for one, next_ in pairwise(begun))


@pytest.mark.parametrize("key", BEFORE_AND_AFTER)
def test_blood_is_tested_before_and_after(key):
    test = codes.table("lab_tests")[key].concept
    taken = [each.collected for each in course().lab_results if each.test == test]
    given = [each.given.start for each in course().infusions]
    assert min(map(moment, taken)) < min(map(moment, given))
    assert max(map(moment, taken)) > max(map(moment, given))


@pytest.mark.parametrize("key", OVER_TIME)
def test_an_observation_is_reported_over_time(key):
    test = codes.table("outcomes")[key].concept
    told = [each.collected for each in course().outcomes if each.test == test]
    assert len(told) > 1
    assert all(one < next_ for one, next_ in pairwise(told))


def test_every_unit_is_ucum():
    found = {
        node["code"]
        for node in nodes(plain.to_plain(course()))
        if isinstance(node, dict) and node.get("system") == "http://unitsofmeasure.org"
    }
    assert "ug" in found
    for unit in found:
        assert units.parse(unit)


def test_every_clinical_code_stands_in_a_code_table():
    known = {c for name in codes.tables() for e in codes.table(name) for c in e.concept.coding}
    clinical = {row["uri"] for name, row in data.toml("codes/systems.toml").items()} - {
        "http://unitsofmeasure.org"
    }
    used = {
        Coding(**node)
        for node in nodes(plain.to_plain(course()))
        if isinstance(node, dict) and node.get("system") in clinical and "value" not in node
    }
    assert len(used) > 100
    assert {each.code for each in used - known} == set()


def test_each_step_of_absorption_the_course_tells_of_is_found_from_its_codes():
    found = {
        codes.table(table).mechanism(concept)
        for table, concepts in (
            ("conditions", [each.code for each in course().conditions]),
            ("procedures", [each.code for each in course().procedures]),
            ("drugs", [each.drug for each in course().medication_uses]),
            ("lifestyles", [each.value_concept for each in course().lifestyles]),
        )
        for concept in concepts
    }
    assert found - {None} == {
        "acid-pepsin", "ageing", "diet", "gastric-surgery", "ileal-disease", "ileal-resection",
        "intrinsic-factor", "medication", "nitrous-oxide", "pancreatic-enzymes",
    }  # fmt: skip


def moment(when):
    """A point in time; a day begins at midnight in the clinic."""
    text = when.text if len(when.text) > len("2026-03-09") else f"{when.text}T00:00:00+01:00"
    return datetime.fromisoformat(text)


#: What HL7's validator says only because it is asked without a terminology server.
ALONE = {"Type_Specific_Checks_DT_URL_Resolve", "UNABLE_TO_INFER_CODESYSTEM",
         "Terminology_TX_NoValid_12", "Terminology_TX_NoValid_16"}  # fmt: skip


@pytest.mark.slow
def test_hl7_s_own_validator_finds_no_error():
    """FHIR_B12_ORACLE: a program that answers a line of JSON with a line of JSON."""
    program = os.environ.get("FHIR_B12_ORACLE")
    if program is None:
        skip_missing("HL7's validator", "set FHIR_B12_ORACLE to a line server of it")
    asked = [bundle(), *map(to_fhir, course())]
    broken = {"resourceType": "Patient", "gender": "none"}
    lines = [
        json.dumps({"id": n, "text": dumps(each).decode()})
        for n, each in enumerate([*asked, broken])
    ]
    answer = subprocess.run(
        [program], input="\n".join(lines), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    errors = [
        [i for i in json.loads(line)["issues"] if i["severity"] in {"error", "fatal"}]
        for line in answer
    ]
    assert [i for each in errors[:-1] for i in each if i.get("rule") not in ALONE] == []
    assert errors[-1] != []  # it does look
