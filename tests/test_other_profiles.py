"""Which profiles of US Core and IPS our output keeps too: what docs/profiles.md claims."""

import tomllib
from pathlib import Path

import pytest

from fhir_b12 import data, from_plain, loads, to_bundle
from fhir_b12.mapping.lens import lens_for
from fhir_b12.validation import Validator

HERE = Path(__file__).parent
ALSO = tomllib.loads((HERE / "data" / "also.toml").read_text("utf-8"))
PAPER = (HERE.parent / "docs" / "profiles.md").read_text("utf-8")


def short(claim):
    return f"{claim['record']} {claim.get('test', '')} {claim['also'].rpartition('/')[2]}"


@pytest.fixture(scope="module")
def validator(fixtures):
    packages = [fixtures / "packages" / name for name in ALSO["packages"].values()]
    return Validator((), packages, plausibility=False)


@pytest.fixture(scope="module")
def written():
    """The demo's resources by their kind of record, as its Bundle has them: references followed."""
    text = data.read(data.mappings().joinpath("demo"), "course.json")
    record, _ = from_plain(loads(text))
    found = {}
    for entry in to_bundle(record)["entry"]:
        lens = lens_for(entry["resource"])
        found.setdefault(lens.table.record.__name__, []).append(entry["resource"])
    return found


def meant(claim, resource):
    if not all(any(name in resource for name in names) for names in claim.get("needs", ())):
        return False
    if "test" not in claim:
        return True
    (row,) = data.toml("codes/vital_signs.toml")[claim["test"]]["codings"][:1]
    return row["code"] in {each.get("code") for each in resource["code"]["coding"]}


@pytest.mark.parametrize("claim", ALSO["claim"], ids=short)
def test_our_output_keeps_the_profile_too(claim, validator, written):
    resources = [each for each in written[claim["record"]] if meant(claim, each)]
    assert resources
    for resource in resources:
        report = validator.validate(resource, profiles=[claim["also"]])
        assert [str(each) for each in report if each.is_error] == []


@pytest.mark.parametrize("claim", ALSO["claim"], ids=short)
def test_the_paper_names_the_profile(claim):
    assert claim["also"].rpartition("/")[2] in PAPER
