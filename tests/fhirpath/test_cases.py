"""FHIRPath as the specification has it: cases are data."""

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fhir_b12 import fhirpath
from fhir_b12.fhirpath import FhirPathError, StandaloneEnvironment

TABLES = sorted((Path(__file__).parent / "cases").glob("*.toml"))


class Clinic(StandaloneEnvironment):
    """What surrounds the resource of the cases: a clock, one value set, one profile."""

    now = datetime(2026, 3, 9, 9, 15, 30, tzinfo=UTC)

    def member_of(self, url: str, item: Any) -> bool | None:
        return item == "final" if url == "http://example.org/done" else None

    def conforms_to(self, url: str, _node: Any) -> bool | None:
        return True if url == "http://example.org/any" else None


def rows():
    """Yield the cases of all files: expression, expected results and resource."""
    files = {p: tomllib.loads(p.read_text("utf-8"), parse_float=Decimal) for p in TABLES}
    resources = {
        name: content
        for table in files.values()
        for name, content in table.get("resources", {}).items()
    }
    for path, table in files.items():
        for section in table["sections"]:
            resource = resources[section.get("on", "patient")]
            for expression, finds in section["cases"]:
                name = f"{path.stem}: {section['title']}: {expression}"
                yield pytest.param(expression, finds, resource, id=name)


@pytest.mark.parametrize(("expression", "finds", "resource"), list(rows()))
def test_an_expression_evaluates_as_specified(expression, finds, resource):
    environment = Clinic(resource)
    if isinstance(finds, str):
        with pytest.raises(FhirPathError, match=finds):
            fhirpath.compile(expression).evaluate(resource, resource["resourceType"], environment)
        return
    results = fhirpath.compile(expression).evaluate(resource, resource["resourceType"], environment)
    expected = [None if value == "@none" else value for value in finds]
    assert list(map(typed, results)) == list(map(typed, expected))


def typed(value):
    """Return a value with its type: True is not 1, 1 is not 1.0, and 1.0 is not 1.00."""
    return (type(value).__name__, str(value) if isinstance(value, Decimal) else value)
