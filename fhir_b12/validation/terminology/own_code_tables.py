"""Our code tables as terminology: complete as to our own keys, a few codes of everybody else's.

Of somebody else's code system a table knows some codes, so that it never says that one is unknown.
"""

from functools import cache
from typing import Any

from fhir_b12 import codes
from fhir_b12.validation.terminology.code_systems import Concept


def value_set(canonical: str) -> dict[str, Any] | None:
    """The codes that mean the concepts of the table whose ValueSet has that url."""
    name = _names().get(canonical)
    return codes.value_set(name) if name and "/ValueSet/" in canonical else None


def code_system(canonical: str) -> dict[str, Any] | None:
    """The keys of the table whose CodeSystem has that url."""
    name = _names().get(canonical)
    return codes.code_system(name) if name and "/CodeSystem/" in canonical else None


def lookup(system: str, code: str) -> Concept | None:
    """What a table says of a code of any system."""
    display = _displays().get((system, code))
    return Concept(code, display) if display else None


@cache
def _names() -> dict[str, str]:
    urls = {name: codes.value_set(name)["url"] for name in codes.tables()}
    of_systems = {url.replace("/ValueSet/", "/CodeSystem/"): name for name, url in urls.items()}
    return {**{url: name for name, url in urls.items()}, **of_systems}


@cache
def _displays() -> dict[tuple[str, str], str]:
    return {
        (coding.system or "", coding.code or ""): coding.display or entry.text
        for name in codes.tables()
        for entry in codes.table(name)
        for coding in (*entry.wider, *entry.read_only, *entry.codings)
    }
