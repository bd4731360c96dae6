"""Parse the entries of a batch or transaction.  https://hl7.org/fhir/R4/bundle.html#Bundle.entry"""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.config import Config
from fhir_b12.server.context import RequestContext
from fhir_b12.server.errors import RequestError
from fhir_b12.server.fhir import write
from fhir_b12.server.resource_types import TYPES
from fhir_b12.server.store import Change
from fhir_b12.server.wire.body import require_resource_type
from fhir_b12.server.wire.conditional_headers import parse_if_match
from fhir_b12.server.wire.ids import is_id
from fhir_b12.server.wire.media_types import FHIR_JSON, PATCH_JSON
from fhir_b12.server.wire.query import parse_query_string
from fhir_b12.suggestions import did_you_mean

Json = dict[str, Any]
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_WITH_RESOURCE = ("POST", "PUT", "PATCH")
#: elements of `request` that are headers of a single interaction
_HEADERS = {
    "ifMatch": "If-Match",
    "ifNoneMatch": "If-None-Match",
    "ifModifiedSince": "If-Modified-Since",
    "ifNoneExist": "If-None-Exist",
}
#: HAPI's client names the version that it updates in the URL
_VERSIONED_URL = re.compile(r"([A-Za-z]+/[^/?]+)/_history/([^/?]+)\Z")
_URL = re.compile(r"([A-Za-z]+)(?:/([^/?]+))?(?:\?(.*))?\Z", re.DOTALL)


@dataclass(frozen=True)
class EntryRequest:
    """The request of one entry."""

    path: str  #: FHIRPath of the entry, `Bundle.entry[2]`
    method: str
    url: str  #: below the base: `Observation/1`, `Patient?identifier=…`
    resource: Json | None
    full_url: str | None
    headers: dict[str, str]

    @property
    def body(self) -> bytes | None:
        """Body of the request if it were sent by itself."""
        if self.resource is None:
            return None
        return dumps(self.patch if self.method == "PATCH" else self.resource)

    @property
    def media_type(self) -> str:
        """Content-Type of that body."""
        return PATCH_JSON if self.method == "PATCH" else FHIR_JSON

    @property
    def patch(self) -> list[Any]:
        """JSON Patch in the Binary of the entry.  https://hl7.org/fhir/R4/http.html#patch"""
        return _decode_patch(self.resource or {}, self.path)

    @property
    def target(self) -> str | None:
        """URL of the resource that is written; None if the URL does not name it."""
        return self.url if self.method != "POST" and "/" in self.url else None

    def to_change(self, context: RequestContext) -> Change:
        """Return the change that the store applies.

        Raises:
            RequestError: the entry is invalid; its issues are located in the Bundle.

        """
        try:
            return self._to_change(context)
        except RequestError as refusal:
            issues = map(self._locate, refusal.issues)
            raise RequestError(refusal.status, issues=issues, headers=refusal.headers) from refusal

    def _locate(self, issue: Issue) -> Issue:
        if issue.expression.startswith(self.path):
            return issue
        return msgspec.structs.replace(issue, expression=self.path)

    def _to_change(self, context: RequestContext) -> Change:
        url_path = f"{self.path}.request.url"
        match = _URL.match(self.url)
        resource_type, resource_id, query = match.groups() if match else ("", None, None)
        if resource_type not in TYPES:
            hint = did_you_mean(resource_type, TYPES)
            message = f"the URL does not name a resource type that can be written{hint}"
            raise RequestError(400, "invalid", message, url_path)
        if resource_id is not None and not is_id(resource_id):
            raise RequestError(400, "invalid", "the URL has an invalid id: write TYPE/ID", url_path)
        if self.method == "POST" and (resource_id or query):
            message = "the URL of a POST must be a resource type alone: remove id and query"
            raise RequestError(400, "invalid", message, url_path)
        criteria = None
        if self.method == "POST":
            if_none_exist = self.headers.get("If-None-Exist")
            criteria = write.parse_if_none_exist(context, if_none_exist, resource_type)
        elif resource_id is None:
            pairs = parse_query_string(query or "", context.config)
            criteria = write.parse_write_criteria(context, resource_type, pairs)
        return Change(
            method=self.method,
            type=resource_type,
            id=resource_id,
            criteria=criteria,
            resource=self._checked_resource(resource_type, resource_id),
            patch=self.patch if self.method == "PATCH" else None,
            if_match=parse_if_match(self.headers.get("If-Match")),
            full_url=self.full_url,
        )

    def _checked_resource(self, resource_type: str, resource_id: str | None) -> Json | None:
        if self.method not in {"POST", "PUT"}:
            return None
        resource = require_resource_type(self.resource, resource_type)
        if self.method == "PUT" and resource_id is not None:
            write.require_id(resource, resource_id)
        return resource


def parse_entries(bundle: Json, config: Config) -> list[EntryRequest]:
    """Parse all entries of a Bundle.

    Raises:
        RequestError: 400 with all entries that are malformed, 413 if there are too many.

    """
    rows = bundle.get("entry", [])
    if not isinstance(rows, list):
        raise RequestError(400, "structure", "entry must be a list", "Bundle.entry")
    if len(rows) > config.max_entries:
        message = f"the Bundle has more than {config.max_entries} entries: send several Bundles"
        raise RequestError(413, "too-costly", message)
    issues: list[Issue] = []
    entries: list[EntryRequest] = []
    for index, row in enumerate(rows):
        try:
            entries.append(_parse_entry(row, f"Bundle.entry[{index}]", config))
        except RequestError as refusal:
            issues += refusal.issues
    if issues:
        raise RequestError(400, issues=issues)
    return entries


def _parse_entry(row: Any, path: str, config: Config) -> EntryRequest:
    """Parse one entry, at a FHIRPath.

    Raises:
        RequestError: 400 if it is malformed.

    """
    request = row.get("request") if isinstance(row, dict) else None
    if not isinstance(request, dict):
        message = "request is required: add its method and url"
        raise RequestError(400, "required", message, f"{path}.request")
    method, url = request.get("method"), request.get("url")
    if method not in _METHODS:
        message = f"method must be one of {', '.join(_METHODS)}"
        raise RequestError(400, "invalid", message, f"{path}.request.method")
    resource = row.get("resource")
    if url is None and isinstance(resource, dict):
        url = _url_of(resource, method)
    url = url.removeprefix(config.base).lstrip("/") if isinstance(url, str) else ""
    if not url or not url.isprintable():
        message = "url is required: write TYPE, TYPE/ID or TYPE?QUERY"
        raise RequestError(400, "invalid", message, f"{path}.request.url")
    has_resource = method in _WITH_RESOURCE and not url.partition("?")[0].endswith("_search")
    if has_resource and not _is_resource(resource):
        message = f"resource is required for {method}: add it with its resourceType"
        raise RequestError(400, "required", message, f"{path}.resource")
    headers = {header: request[name] for name, header in _HEADERS.items() if name in request}
    if method == "PUT" and (match := _VERSIONED_URL.match(url)):
        url = match[1]
        headers.setdefault("If-Match", match[2])
    full_url = row.get("fullUrl")
    for text in (*headers.values(), full_url or ""):
        if not isinstance(text, str) or not text.isprintable():
            message = "fullUrl and the conditions of request must be texts"
            raise RequestError(400, "invalid", message, path)
    return EntryRequest(path, method, url, resource if has_resource else None, full_url, headers)


def _is_resource(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("resourceType"), str)


def _url_of(resource: Json, method: str) -> str:
    """Return the URL that a resource implies: HAPI's client sends entries without url."""
    elements = {"POST": ("resourceType",), "PUT": ("resourceType", "id")}.get(method, ())
    parts: list[Any] = [resource.get(name) for name in elements]
    return "/".join(parts) if all(isinstance(part, str) for part in parts) else ""


def _decode_patch(binary: Json, path: str) -> list[Any]:
    """Decode the JSON Patch in a Binary.

    Raises:
        RequestError: 400 if it is not a Binary with a JSON Patch.

    """
    message = f"PATCH requires a Binary of contentType {PATCH_JSON} with the patch in data"
    if binary.get("contentType") != PATCH_JSON:
        raise RequestError(400, "invalid", message, f"{path}.resource")
    try:
        return write.require_patch(loads(b64decode(binary["data"], validate=True)))
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(400, "invalid", message, f"{path}.resource") from error
