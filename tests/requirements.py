"""What tests need beyond the project: public example data, programs, optional packages.

A test is skipped by `skip_missing`, `skipif_missing` or a reason of `missing`. A run counts the
skipped tests by what was missing, and fails if that is required: `FHIR_B12_REQUIRE` lists names
separated by commas, or is `all`; `FHIR_B12_UNAVAILABLE` lists names that `all` leaves out.
"""

import os
import re
from collections import Counter

import pytest

EXAMPLES = "example data"
_REASON = re.compile(r"missing (.+?): ")


def missing(name: str, remedy: str) -> str:
    """Return the reason to skip a test: what is missing, and how to provide it."""
    return f"missing {name}: {remedy}"


def skip_missing(name: str, remedy: str):
    """Skip the test that runs, or the module if none does."""
    pytest.skip(missing(name, remedy), allow_module_level=True)


def skipif_missing(condition: bool, name: str, remedy: str):
    """Return a mark that skips a test if something is missing."""
    return pytest.mark.skipif(condition, reason=missing(name, remedy))


def parameters_or_skip(values, name: str, remedy: str) -> list:
    """Return the values of a parametrized test; if there are none, one that is skipped."""
    return [*values] or [pytest.param(None, marks=skipif_missing(True, name, remedy))]


def count_missing(reports) -> Counter:
    """Count the skipped tests by what was missing; None counts those with another reason."""
    names: Counter = Counter()
    for report in reports:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        match = _REASON.search(text)
        names[match[1] if match else None] += 1
    return names


def required_but_missing(names) -> list[str]:
    """Return those of the missing names that the environment requires."""
    required = _listed("FHIR_B12_REQUIRE")
    unavailable = _listed("FHIR_B12_UNAVAILABLE")
    return sorted(
        name
        for name in names
        if name and (name in required or ("all" in required and name not in unavailable))
    )


def _listed(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",")} - {""}
