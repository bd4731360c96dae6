"""Responses of the upstream server as Bundles and versions.

https://hl7.org/fhir/R4/bundle.html
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from fhir_b12.caching import known_to_msgspec
from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.store import Version
from fhir_b12.server.store.proxy.client import UpstreamResponse, bad_gateway, upstream_refusal
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.timestamps import parse_timestamp

#: type, id and version at the end of a url
LOCATION = re.compile(r"(?:\A|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([^/]+))?\Z")
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class Link(msgspec.Struct, frozen=True):
    """Bundle.link"""

    relation: str = ""
    url: str = ""


class SearchMode(msgspec.Struct, frozen=True):
    """Bundle.entry.search"""

    mode: str = "match"


class EntryRequest(msgspec.Struct, frozen=True):
    """Bundle.entry.request"""

    method: str = ""
    url: str = ""


class EntryResponse(msgspec.Struct, frozen=True, rename={"last_modified": "lastModified"}):
    """Bundle.entry.response"""

    status: str = ""
    location: str | None = None
    etag: str | None = None
    last_modified: str = ""


class BundleEntry(msgspec.Struct, frozen=True):
    """Bundle.entry"""

    resource: dict[str, Any] | None = None
    search: SearchMode = SearchMode()
    request: EntryRequest = EntryRequest()
    response: EntryResponse = EntryResponse()


class Bundle(msgspec.Struct, frozen=True):
    """The elements of a Bundle that are read.  https://hl7.org/fhir/R4/bundle.html"""

    type: str = ""
    total: int | None = None
    link: list[Link] = []
    entry: list[BundleEntry] = []


def parse_bundle(response: UpstreamResponse) -> Bundle:
    """Return the Bundle of a response.

    Raises:
        RequestError: the refusal of the upstream server, or 502 if the body is not a Bundle.

    """
    if response.status != 200:
        raise upstream_refusal(response)
    try:
        bundle = msgspec.convert(response.value, known_to_msgspec(Bundle))
    except msgspec.ValidationError:
        raise bad_gateway("a body that is not a Bundle") from None
    if response.value.get("resourceType") != "Bundle":
        raise bad_gateway("a body that is not a Bundle")
    return bundle


def parse_version(value: Any, resource_type: str, method: str = "PUT") -> Version:
    """Return a resource as a version.

    Raises:
        RequestError: 502 if type, id, lastUpdated or a numeric version id is missing or wrong.

    """
    try:
        meta, resource_id = value["meta"], value["id"]
        number = meta["versionId"]
        is_type = value["resourceType"] == resource_type
        if not _NUMBER.fullmatch(number) or not is_id(resource_id) or not is_type:
            raise ValueError
        last_updated = parse_timestamp(meta["lastUpdated"], "lastUpdated")
    except (LookupError, TypeError, AttributeError, ValueError, RequestError):
        message = "a resource without type, id, lastUpdated or a numeric version id"
        raise bad_gateway(message) from None
    return Version(
        type=resource_type, id=resource_id, version_id=int(number), last_updated=last_updated,
        method=method, body=dumps(value),
    )  # fmt: skip


def deleted_version(
    resource_type: str, resource_id: str, etag: str | None, last_updated: int
) -> Version:
    """Return the version of a delete; 0 if the ETag has no number."""
    number = _NUMBER.search(etag or "")
    return Version(
        type=resource_type, id=resource_id, version_id=int(number[0]) if number else 0,
        last_updated=last_updated, method="DELETE", body=None,
    )  # fmt: skip


def parse_history_entry(entry: BundleEntry, resource_type: str) -> Version:
    """Return the version of a history entry.

    Raises:
        RequestError: 502 if the entry is of another type or has no time.

    """
    request, response = entry.request, entry.response
    if entry.resource is not None:
        return parse_version(entry.resource, resource_type, request.method or "PUT")
    location = LOCATION.search(request.url)
    if location is None or location[1] != resource_type:
        raise bad_gateway("a history of another resource type")
    try:
        last_updated = parse_timestamp(response.last_modified, "lastModified")
    except RequestError:
        raise bad_gateway("a history without lastModified") from None
    return deleted_version(resource_type, location[2], response.etag or location[3], last_updated)


def search_entries(page: Bundle, resource_type: str) -> Iterator[tuple[str, Version]]:
    """Yield the search mode and the version of each entry."""
    for entry in page.entry:
        resource = entry.resource or {}
        if entry.search.mode == "match":
            yield "match", parse_version(resource, resource_type)
        elif entry.search.mode == "include" and resource.get("resourceType") in TYPES:
            yield "include", parse_version(resource, resource["resourceType"])
