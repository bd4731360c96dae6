"""The entries of a batch or transaction, read.  https://hl7.org/fhir/R4/bundle.html#Bundle.entry"""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.fhir import write
from fhir_b12.server.fhir.context import facade
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.store import Change
from fhir_b12.server.wire.body import require_resource_type
from fhir_b12.server.wire.conditional_headers import parse_if_match
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import FHIR_JSON, PATCH_JSON
from fhir_b12.server.wire.query import parse_query_string

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_WRITES = ("POST", "PUT", "PATCH", "DELETE")
#: of a request its elements that are headers elsewhere
_HEADERS = {
    "ifMatch": "If-Match",
    "ifNoneMatch": "If-None-Match",
    "ifModifiedSince": "If-Modified-Since",
    "ifNoneExist": "If-None-Exist",
}
#: of what was read and is sent back: HAPI's client names the version in the url
_VERSIONED = re.compile(r"([A-Za-z]+/[^/?]+)/_history/([^/?]+)\Z")
_TARGET = re.compile(r"([A-Za-z]+)(?:/([^/?]+))?(?:\?(.*))?\Z", re.DOTALL)


@dataclass(frozen=True)
class Entry:
    """One request in a Bundle."""

    place: str  #: `Bundle.entry[2]`
    method: str
    url: str  #: below the base: `Observation/1`, `Patient?identifier=…`
    resource: dict[str, Any] | None
    full_url: str | None
    headers: dict[str, str]

    @property
    def body(self) -> bytes | None:
        """What the request would carry by itself."""
        if self.resource is None:
            return None
        return dumps(self.operations if self.method == "PATCH" else self.resource)

    @property
    def media(self) -> str:
        """What that body would be called."""
        return PATCH_JSON if self.method == "PATCH" else FHIR_JSON

    @property
    def operations(self) -> list[Any]:
        """A JSON Patch travels in a Binary.  https://hl7.org/fhir/R4/http.html#patch"""
        return _operations(self.resource or {}, self.place)

    @property
    def target(self) -> str | None:
        """What it writes, where the url says so."""
        return self.url if self.method != "POST" and "/" in self.url else None

    def change(self) -> Change:
        """What the store is to do; a refusal names the place."""
        try:
            return self._change()
        except Refusal as refusal:
            placed = (
                each
                if each.expression.startswith(self.place)
                else msgspec.structs.replace(each, expression=self.place)
                for each in refusal.issues
            )
            raise Refusal(refusal.status, placed, refusal.headers) from refusal

    def _change(self) -> Change:
        found = _TARGET.match(self.url)
        kind, name, query = found.groups() if found else ("", None, None)
        if kind not in TYPES or (name is not None and not is_id(name)):
            raise refuse(
                400, "invalid", "this url cannot be written to", f"{self.place}.request.url"
            )
        if self.method == "POST" and (name or query):
            raise refuse(400, "invalid", "a POST names a type alone", f"{self.place}.request.url")
        criteria = None
        if self.method == "POST":
            criteria = write.none_exist(self.headers.get("If-None-Exist"), kind)
        elif name is None:
            criteria = write.the_one(kind, parse_query_string(query or "", facade().config))
        return Change(
            method=self.method,
            type=kind,
            id=name,
            criteria=criteria,
            resource=self._written(kind, name),
            patch=self.operations if self.method == "PATCH" else None,
            if_match=parse_if_match(self.headers.get("If-Match")),
            full_url=self.full_url,
        )

    def _written(self, kind: str, name: str | None) -> dict[str, Any] | None:
        if self.method not in {"POST", "PUT"}:
            return None
        resource = require_resource_type(self.resource, kind)
        if self.method == "PUT" and name is not None:
            write.check_id(resource, name)
        return resource


def entries_of(bundle: dict[str, Any], config: Config) -> list[Entry]:
    """Every entry; a refusal with all that are none."""
    rows = bundle.get("entry", [])
    if not isinstance(rows, list):
        raise refuse(400, "structure", "entry is no list", "Bundle.entry")
    if len(rows) > config.max_entries:
        raise refuse(413, "too-costly", f"more than {config.max_entries} entries; send several")
    wrong: list[Any] = []
    found: list[Entry] = []
    for index, row in enumerate(rows):
        try:
            found.append(_entry(row, f"Bundle.entry[{index}]", config))
        except Refusal as refusal:
            wrong += refusal.issues
    if wrong:
        raise Refusal(400, wrong)
    return found


def _entry(row: Any, place: str, config: Config) -> Entry:
    asked = row.get("request") if isinstance(row, dict) else None
    if not isinstance(asked, dict):
        raise refuse(400, "required", "the entry has no request", f"{place}.request")
    method, url = asked.get("method"), asked.get("url")
    if method not in _METHODS:
        raise refuse(
            400, "invalid", f"method is none of {', '.join(_METHODS)}", f"{place}.request.method"
        )
    resource = row.get("resource")
    if url is None and isinstance(resource, dict):
        url = _url_of(resource, method)
    url = url.removeprefix(config.base).lstrip("/") if isinstance(url, str) else ""
    if not url or not url.isprintable():
        raise refuse(400, "invalid", "the url names no type", f"{place}.request.url")
    needs = method in {"POST", "PUT", "PATCH"} and not url.partition("?")[0].endswith("_search")
    if needs and not (isinstance(resource, dict) and isinstance(resource.get("resourceType"), str)):
        raise refuse(400, "required", "the entry has no resource", f"{place}.resource")
    headers = {header: asked[name] for name, header in _HEADERS.items() if name in asked}
    if method == "PUT" and (found := _VERSIONED.match(url)):
        url = found[1]
        headers.setdefault("If-Match", found[2])
    full_url = row.get("fullUrl")
    if not all(
        isinstance(each, str) and each.isprintable() for each in (*headers.values(), full_url or "")
    ):
        raise refuse(400, "invalid", "conditions and fullUrl are texts", place)
    return Entry(place, method, url, resource if needs else None, full_url, headers)


def _url_of(resource: dict[str, Any], method: str) -> str:
    """Where a resource is written; HAPI's client leaves the url of its entries to the server."""
    parts = {"POST": ("resourceType",), "PUT": ("resourceType", "id")}.get(method, ())
    names: list[Any] = [resource.get(part) for part in parts]
    return "/".join(names) if all(isinstance(name, str) for name in names) else ""


def _operations(binary: dict[str, Any], place: str) -> list[Any]:
    try:
        if binary.get("contentType") != PATCH_JSON:
            raise ValueError
        return write.operations_of(loads(b64decode(binary["data"], validate=True)))
    except (KeyError, TypeError, ValueError) as error:
        message = "a PATCH holds a Binary whose data is a JSON Patch in base64"
        raise refuse(400, "invalid", message, f"{place}.resource") from error
