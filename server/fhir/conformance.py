"""The definitions that ship with the library, read-only, as if they were stored.

https://hl7.org/fhir/R4/conformance-module.html
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from fhir_b12.guide.definitions import profiles, settings, terminology, with_record_mapping
from fhir_b12.guide.resources import capability_statement
from fhir_b12.jsonio import dumps
from fhir_b12.server.store import Version
from fhir_b12.server.wire.query import Pairs

Json = dict[str, Any]


@cache
def definitions_by_id(resource_type: str) -> dict[str, Version]:
    """Return the definitions of a type by id; none ship of OperationDefinition, SearchParameter."""
    return {
        definition["id"]: _as_version(definition)
        for definition in definitions()
        if definition["resourceType"] == resource_type
    }


@cache
def definitions() -> tuple[Json, ...]:
    """Return all definitions that ship with the library, as JSON."""
    return (*map(with_record_mapping, profiles()), *terminology(), capability_statement())


def _as_version(resource: Json) -> Version:
    """Return a definition as version 1, last updated on the day of the guide."""
    day = datetime.fromisoformat(f"{settings()['date']}T00:00:00+00:00")
    body = dumps({"resourceType": resource["resourceType"], **resource})
    return Version(
        type=resource["resourceType"],
        id=resource["id"],
        version_id=1,
        last_updated=int(day.timestamp()) * 1_000_000,
        method="PUT",
        body=body,
    )


def search_definitions(resource_type: str, pairs: Pairs) -> tuple[list[Version], Pairs]:
    """Return the matching definitions, and the search parameters that were understood.

    Parameters that are not in PARAMETERS are ignored.
    """
    known = [(name, value) for name, value in pairs if name in _CRITERIA]
    criteria = [_CRITERIA[name](value) for name, value in known]
    ids = {
        definition["id"]
        for definition in definitions()
        if definition["resourceType"] == resource_type
        and all(matches(definition) for matches in criteria)
    }
    versions = definitions_by_id(resource_type)
    return [version for name, version in versions.items() if name in ids], known


_Matcher = Callable[[Json], bool]


def _equals(element: str) -> Callable[[str], _Matcher]:
    """Match if an element is one of the values, separated by commas."""

    def criterion(value: str) -> _Matcher:
        values = {part.partition("|")[0] for part in value.split(",")}
        return lambda resource: resource.get(element) in values

    return criterion


def _starts_with(element: str) -> Callable[[str], _Matcher]:
    """Match if an element starts with one of the values, whatever their case."""

    def criterion(value: str) -> _Matcher:
        prefixes = tuple(part.casefold() for part in value.split(","))
        return lambda resource: str(resource.get(element, "")).casefold().startswith(prefixes)

    return criterion


_CRITERIA: dict[str, Callable[[str], _Matcher]] = {
    "_id": _equals("id"),
    "url": _equals("url"),
    "status": _equals("status"),
    "name": _starts_with("name"),
    "title": _starts_with("title"),
}
#: search parameters and their types
PARAMETERS = {
    "_id": "token", "url": "uri", "status": "token", "name": "string", "title": "string",
}  # fmt: skip
