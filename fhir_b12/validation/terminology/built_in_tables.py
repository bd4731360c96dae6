"""The code tables of `mappings/codes/` as terminology.

A table's own code system, its keys, is complete. Of other code systems a table lists only some
codes, so it never makes a code unknown.
"""

from functools import cache
from typing import Any

from fhir_b12 import codes
from fhir_b12.validation.terminology.code_systems import Concept


def value_set(canonical: str) -> dict[str, Any] | None:
    """Return the ValueSet of a table, with the codes that mean its rows, None if unknown."""
    name = _tables_by_url().get(canonical)
    return codes.value_set(name) if name and "/ValueSet/" in canonical else None


def code_system(canonical: str) -> dict[str, Any] | None:
    """Return the CodeSystem of a table, with its keys, None if unknown."""
    name = _tables_by_url().get(canonical)
    return codes.code_system(name) if name and "/CodeSystem/" in canonical else None


def lookup(system: str, code: str) -> Concept | None:
    """Return the concept of a code that some table lists, None if no table does."""
    display = _displays().get((system, code))
    return Concept(code, display) if display else None


@cache
def _tables_by_url() -> dict[str, str]:
    value_sets = {codes.value_set(name)["url"]: name for name in codes.tables()}
    code_systems = {
        url.replace("/ValueSet/", "/CodeSystem/"): name for url, name in value_sets.items()
    }
    return value_sets | code_systems


@cache
def _displays() -> dict[tuple[str, str], str]:
    return {
        (coding.system or "", coding.code or ""): coding.display or entry.text
        for name in codes.tables()
        for entry in codes.table(name)
        for coding in (*entry.wider, *entry.read_only, *entry.codings)
    }
