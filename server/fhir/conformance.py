"""The definitions that ship with the library, as if they were stored.  Read only.

https://hl7.org/fhir/R4/conformance-module.html
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from fhir_b12.guide.definitions import of_record, profiles, settings, terminology
from fhir_b12.guide.resources import capability_statement
from fhir_b12.jsonio import dumps
from fhir_b12.server.store import Version
from fhir_b12.server.wire.query import Pairs


@cache
def all_of(kind: str) -> dict[str, Version]:
    """The definitions of a type, by id; OperationDefinition and SearchParameter have none yet."""
    return {each["id"]: _version(each) for each in definitions() if each["resourceType"] == kind}


@cache
def definitions() -> tuple[dict[str, Any], ...]:
    """All of them, as plain JSON."""
    return (*map(of_record, profiles()), *terminology(), capability_statement())


def _version(resource: dict[str, Any]) -> Version:
    """A definition, last changed on the day of the guide."""
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


def found(kind: str, pairs: Pairs) -> tuple[list[Version], Pairs]:
    """The definitions that a search finds, and what of it was known: see PARAMETERS."""
    known = [(name, value) for name, value in pairs if name in _TESTS]
    tests = [_TESTS[name](value) for name, value in known]
    ids = {
        each["id"]
        for each in definitions()
        if each["resourceType"] == kind and all(test(each) for test in tests)
    }
    return [version for name, version in all_of(kind).items() if name in ids], known


_Test = Callable[[dict[str, Any]], bool]


def _exact(element: str) -> Callable[[str], _Test]:
    def one_of(value: str) -> _Test:
        wanted = {each.partition("|")[0] for each in value.split(",")}
        return lambda resource: resource.get(element) in wanted

    return one_of


def _begins(element: str) -> Callable[[str], _Test]:
    def one_of(value: str) -> _Test:
        wanted = tuple(each.casefold() for each in value.split(","))
        return lambda resource: str(resource.get(element, "")).casefold().startswith(wanted)

    return one_of


_TESTS: dict[str, Callable[[str], _Test]] = {
    "_id": _exact("id"),
    "url": _exact("url"),
    "status": _exact("status"),
    "name": _begins("name"),
    "title": _begins("title"),
}
#: what may be searched for, with its kind
PARAMETERS = {
    "_id": "token", "url": "uri", "status": "token", "name": "string", "title": "string",
}  # fmt: skip
