"""FHIRPath as the specification has it: cases are data."""

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_b12.fhirpath import Alone, FhirPathError, compile

CASES = Path(__file__).parent / "cases"


class Clinic(Alone):
    """What surrounds the resource of the cases: a clock, one value set, one profile."""

    now = datetime(2026, 3, 9, 9, 15, 30, tzinfo=UTC)

    def member_of(self, url: str, item: Any) -> bool | None:
        return item == "final" if url == "http://example.org/done" else None

    def conforms_to(self, url: str, node: Any) -> bool | None:
        return True if url == "http://example.org/any" else None


def load(path):
    whole = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
    resources = whole.get("resources", {})
    for row in whole["cases"]:
        yield pytest.param(row, resources, id=f"{path.stem}: {row['expression']}")


def cases():
    return [each for path in sorted(CASES.glob("*.toml")) for each in load(path)]


@pytest.mark.parametrize(("case", "resources"), cases())
def test_an_expression_finds_what_the_specification_says(case, resources):
    resource = resources.get(case.get("on", "patient"), {"resourceType": "Patient"})
    around = Clinic(resource)
    if "error" in case:
        with pytest.raises(FhirPathError, match=case["error"]):
            compile(case["expression"]).evaluate(resource, resource["resourceType"], around)
        return
    found = compile(case["expression"]).evaluate(resource, resource["resourceType"], around)
    assert list(map(shown, found)) == list(map(shown, case["finds"]))


def shown(value):
    """A value with its type: True is not 1, and 1 is not 1.0 where a case says so."""
    return (type(value).__name__, str(value) if isinstance(value, Decimal) else value)
