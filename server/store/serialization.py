"""A resource as the text that is kept: id and meta first, so that a version is put in unread."""

import copy
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from fhir_b12.jsonio import dumps
from fhir_b12.server.search.extract import Rows, rows
from fhir_b12.server.wire.timestamps import format_instant

Resource = dict[str, Any]
_OURS = {"versionId", "lastUpdated"}  #: elements of meta that the server writes


class Prepared(NamedTuple):
    """All that can be made of a resource before its version is known."""

    head: bytes  #: up to the version
    tail: bytes  #: from behind the time on
    digest: bytes  #: of all but version and time
    rows: Rows

    def body(self, version: int, updated: int) -> bytes:
        """The text of a version."""
        told = f'{version}","lastUpdated":"{format_instant(updated)}"'
        return b"%b%b%b" % (self.head, told.encode(), self.tail)


def prepared(resource: Resource, name: str, base: str) -> Prepared:
    """A resource under its id."""
    given = resource.get("meta")
    meta = {k: v for k, v in given.items() if k not in _OURS} if isinstance(given, dict) else {}
    first = {"resourceType": None, "id": name, "meta": {"versionId": ""} | meta}
    whole = first | resource | {"id": name, "meta": first["meta"]}
    head, mark, tail = dumps(whole).partition(b'"versionId":"')
    head, tail = head + mark, tail[1:]
    digest = blake2b(head + tail, digest_size=16).digest()
    return Prepared(head, tail, digest, rows(whole, base))


def renamed(resource: Resource, places: Mapping[str, str]) -> Resource:
    """The resource with references to entries of a transaction made references to what they became.

    https://hl7.org/fhir/R4/http.html#trules
    """
    if not places or not any(name.encode() in dumps(resource) for name in places):
        return resource
    made: Resource = copy.deepcopy(resource)
    left: list[Any] = [made]
    while left:
        node = left.pop()
        if isinstance(node, list):
            left += node
        elif isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, str):
                    node[key] = _place(key, value, places)
                else:
                    left.append(value)
    return made


def _place(key: str, value: str, places: Mapping[str, str]) -> str:
    if key == "div":
        for name, place in places.items():
            for mark in "\"'":
                value = value.replace(f"href={mark}{name}{mark}", f"href={mark}{place}{mark}")
        return value
    return places.get(value, value) if key == "reference" else value
