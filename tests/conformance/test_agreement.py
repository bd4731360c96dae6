"""Agreement with the reference validator: every difference is listed with a reason."""

import pytest

from fhir_b12.validation import Validator
from tests.conformance.cases import cases
from tests.conformance.disagreements import Difference, ListedDifferences, differences
from tests.conformance.outcomes import PACKAGES, Row, Tally, rows

LISTED = ListedDifferences()


@pytest.fixture(scope="module")
def compared(fixtures):
    """Tally and differences of our reports and all recorded outcomes."""
    tally, differing = Tally(), []
    for name, package in PACKAGES.items():
        packages = [fixtures / "packages" / package] if package else []
        validator = Validator((), packages, plausibility=False)
        for row in rows(fixtures, name):
            report = validator.validate(row.text, profiles=row.profiles)
            tally.add(row, report)
            differing += differences(row, report)
    for case in cases(fixtures):
        row = Row(case.name, "", (), tuple(case.rows()), "case")
        report = case.report()
        tally.add(row, report)
        differing += differences(row, report)
    return tally, differing


def test_verdicts_agree_in_at_least_99_5_percent(compared):
    tally, _ = compared
    assert tally.verdicts / tally.total >= 0.995


def test_locations_of_errors_agree_in_at_least_98_percent(compared):
    tally, _ = compared
    assert tally.locations / tally.total >= 0.98


def test_every_disagreement_is_listed_with_its_reason(compared):
    _, differing = compared
    assert [str(item) for item in differing if not LISTED.covers(item)] == []


def test_every_listed_disagreement_occurs(compared):
    _, differing = compared
    listed = ListedDifferences()
    for difference in differing:
        listed.covers(difference)
    assert listed.unused() == []


def test_every_listed_disagreement_has_a_reason_and_cites_the_specification():
    assert [e for e in LISTED.entries if not (e.get("reason") and e.get("specification"))] == []


def test_an_unlisted_difference_is_not_covered():
    assert not LISTED.covers(Difference("no row", "Patient.name", frozenset({"min"}), ours=True))
