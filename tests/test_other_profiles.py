"""Profiles of US Core and IPS that our output conforms to, as docs/profiles.md claims."""

import tomllib
from pathlib import Path

import pytest

from fhir_b12 import data, from_plain, loads, to_bundle
from fhir_b12.mapping.lens import lens_for
from fhir_b12.validation import Validator

HERE = Path(__file__).parent
ALSO = tomllib.loads((HERE / "data" / "also.toml").read_text("utf-8"))
DOCUMENTATION = (HERE.parent / "docs" / "profiles.md").read_text("utf-8")


def claim_id(claim):
    return f"{claim['record']} {claim.get('test', '')} {claim['also'].rpartition('/')[2]}"


@pytest.fixture(scope="module")
def validator(fixtures):
    packages = [fixtures / "packages" / name for name in ALSO["packages"].values()]
    return Validator((), packages, plausibility=False)


@pytest.fixture(scope="module")
def resources_by_record_type():
    """Resources of the demo Bundle by record type, with resolved references."""
    text = data.read(data.mappings().joinpath("demo"), "course.json")
    record, _ = from_plain(loads(text))
    resources = {}
    for entry in to_bundle(record)["entry"]:
        lens = lens_for(entry["resource"])
        resources.setdefault(lens.table.record.__name__, []).append(entry["resource"])
    return resources


def is_claimed_for(claim, resource):
    if not all(any(name in resource for name in names) for names in claim.get("needs", ())):
        return False
    if "test" not in claim:
        return True
    (row,) = data.toml("codes/vital_signs.toml")[claim["test"]]["codings"][:1]
    return row["code"] in {coding.get("code") for coding in resource["code"]["coding"]}


@pytest.mark.parametrize("claim", ALSO["claim"], ids=claim_id)
def test_written_resources_conform_to_the_other_profile(claim, validator, resources_by_record_type):
    resources = [
        resource
        for resource in resources_by_record_type[claim["record"]]
        if is_claimed_for(claim, resource)
    ]
    assert resources
    for resource in resources:
        report = validator.validate(resource, profiles=[claim["also"]])
        assert [str(issue) for issue in report if issue.is_error] == []


@pytest.mark.parametrize("claim", ALSO["claim"], ids=claim_id)
def test_the_documentation_names_the_profile(claim):
    assert claim["also"].rpartition("/")[2] in DOCUMENTATION
