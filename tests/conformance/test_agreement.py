"""Ours says what the reference says, or it is listed why not."""

import pytest

from fhir_b12.validation import Validator
from tests.conformance.cases import cases
from tests.conformance.disagreements import Difference, Listed, differences
from tests.conformance.outcomes import PACKAGES, Row, Tally, rows

LISTED = Listed()


@pytest.fixture(scope="module")
def compared(fixtures):
    """Every recorded outcome beside ours."""
    tally, found = Tally(), []
    for name, package in PACKAGES.items():
        packages = [fixtures / "packages" / package] if package else []
        validator = Validator((), packages, plausibility=False)
        for row in rows(fixtures, name):
            report = validator.validate(row.text, profiles=row.profiles)
            tally.add(row, report)
            found += differences(row, report)
    for case in cases(fixtures):
        row = Row(case.name, "", (), tuple(case.rows()), "case")
        report = case.report()
        tally.add(row, report)
        found += differences(row, report)
    return tally, found


def test_verdicts_agree_in_995_of_1000(compared):
    tally, _ = compared
    assert tally.verdicts / tally.total >= 0.995


def test_the_places_of_errors_agree_in_98_of_100(compared):
    tally, _ = compared
    assert tally.places / tally.total >= 0.98


def test_every_disagreement_is_listed_with_its_reason(compared):
    _, found = compared
    assert [str(each) for each in found if not LISTED.covers(each)] == []


def test_every_listed_disagreement_is_one(compared):
    _, found = compared
    listed = Listed()
    for each in found:
        listed.covers(each)
    assert listed.unmet() == []


def test_every_listed_disagreement_says_why_and_cites_the_specification():
    assert [e for e in LISTED.entries if not (e.get("reason") and e.get("specification"))] == []


def test_an_unlisted_difference_is_not_covered():
    assert not LISTED.covers(Difference("no row", "Patient.name", frozenset({"min"}), ours=True))
