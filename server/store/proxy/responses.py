"""What another server says, read: Bundles, and resources as versions.

https://hl7.org/fhir/R4/bundle.html
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from fhir_b12.caching import learned
from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import Refusal
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.store import Version
from fhir_b12.server.store.proxy.client import Answer, refused, strange
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.timestamps import parse_timestamp

#: the end of a url: type, id, version
NAME = re.compile(r"(?:\A|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([^/]+))?\Z")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class Link(msgspec.Struct, frozen=True):
    """Where another page is."""

    relation: str = ""
    url: str = ""


class Search(msgspec.Struct, frozen=True):
    """Why an entry is there."""

    mode: str = "match"


class Told(msgspec.Struct, frozen=True, rename={"modified": "lastModified"}):
    """What was asked, or what became of it; of `request` and of `response`."""

    method: str = ""
    url: str = ""
    status: str = ""
    location: str | None = None
    etag: str | None = None
    modified: str = ""


class Entry(msgspec.Struct, frozen=True):
    """A resource, and what is told of it."""

    resource: dict[str, Any] | None = None
    search: Search = Search()
    request: Told = Told()
    response: Told = Told()


class Bundle(msgspec.Struct, frozen=True):
    """What is read of a Bundle.  https://hl7.org/fhir/R4/bundle.html"""

    type: str = ""
    total: int | None = None
    link: list[Link] = []
    entry: list[Entry] = []


def bundle(answer: Answer) -> Bundle:
    """The Bundle that an answer is."""
    if answer.status != 200:
        raise refused(answer)
    try:
        found = msgspec.convert(answer.value, learned(Bundle))
    except msgspec.ValidationError:
        raise strange("no Bundle") from None
    if answer.value.get("resourceType") != "Bundle":
        raise strange("no Bundle")
    return found


def version(value: Any, kind: str, method: str = "PUT") -> Version:
    """A resource of this type as a version."""
    try:
        meta, name = value["meta"], value["id"]
        number = meta["versionId"]
        if not _NUMBER.fullmatch(number) or not is_id(name) or value["resourceType"] != kind:
            raise ValueError
        updated = parse_timestamp(meta["lastUpdated"], "lastUpdated")
    except (LookupError, TypeError, AttributeError, ValueError, Refusal):
        raise strange("without type, id, time and a whole number as version") from None
    return Version(
        type=kind,
        id=name,
        version_id=int(number),
        last_updated=updated,
        method=method,
        body=dumps(value),
    )


def gone(kind: str, name: str, etag: str | None, updated: int) -> Version:
    """What was deleted; the version is in an ETag, or nowhere."""
    number = _NUMBER.search(etag or "")
    return Version(
        type=kind, id=name, version_id=int(number[0]) if number else 0, last_updated=updated,
        method="DELETE", body=None,
    )  # fmt: skip


def past(entry: Entry, kind: str) -> Version:
    """An entry of a history."""
    asked, told = entry.request, entry.response
    if entry.resource is not None:
        return version(entry.resource, kind, asked.method or "PUT")
    place = NAME.search(asked.url)
    if place is None or place[1] != kind:
        raise strange("with a history of something else")
    try:
        updated = parse_timestamp(told.modified, "lastModified")
    except Refusal:
        raise strange("with a history without times") from None
    return gone(kind, place[2], told.etag or place[3], updated)


def found(page: Bundle, kind: str) -> Iterator[tuple[str, Version]]:
    """The entries of a search: how each comes there, and itself."""
    for each in page.entry:
        resource = each.resource or {}
        if each.search.mode == "match":
            yield "match", version(resource, kind)
        elif each.search.mode == "include" and resource.get("resourceType") in TYPES:
            yield "include", version(resource, resource["resourceType"])
