"""Changes authorized here and sent to the upstream server, alone or as one transaction.

https://hl7.org/fhir/R4/http.html#transaction
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from msgspec.structs import replace

from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.query import Access, Query
from fhir_b12.server.store import Change, ChangeResult, Page, Resource, Version
from fhir_b12.server.store.history import is_visible
from fhir_b12.server.store.proxy.client import (
    UpstreamClient,
    bad_gateway,
    check_path,
    upstream_refusal,
)
from fhir_b12.server.store.proxy.responses import (
    LOCATION,
    BundleEntry,
    EntryResponse,
    deleted_version,
    parse_bundle,
    parse_version,
)
from fhir_b12.server.store.proxy.search_url import authorize_chains, upstream_pairs
from fhir_b12.server.store.transaction import (
    apply_patch,
    authorize_change,
    check_if_match,
    multiple_matches,
    no_match,
    outside_limits,
)
from fhir_b12.server.wire.conditional_headers import format_etag

Check = Callable[[Resource], None]
#: actions, in `cruds`, that a change needs; and those for which the resource must be visible
_ACTIONS = {"POST": "c", "PUT": "uc", "PATCH": "ur", "DELETE": "d"}
_VISIBLE_ACTIONS = {"PUT": "u", "PATCH": "ur", "DELETE": "d"}
_PREFER = {"Prefer": "return=representation, handling=strict"}


@dataclass(frozen=True, kw_only=True)
class UpstreamWrites:
    """The changes of one request to the upstream server."""

    upstream: UpstreamClient
    access: Access
    base: str  #: base url of this server
    now: int  #: microseconds since 1970 UTC
    check: Check | None  #: validates the result of a patch
    fetch: Callable[[str, str], Version | None]  #: returns the current version
    search: Callable[[Query, Access], Page]

    def apply(self, changes: Sequence[Change]) -> list[ChangeResult]:
        """Apply all changes; several are one transaction of the upstream server."""
        authorized = [self._authorize(change) for change in changes]
        sent = self._send([item for item in authorized if isinstance(item, Change)])
        results = [item if isinstance(item, ChangeResult) else next(sent) for item in authorized]
        return [
            replace(result, version=replace(result.version, method="PATCH"))
            if change.method == "PATCH" and result.version is not None
            else result
            for change, result in zip(changes, results, strict=True)
        ]

    # --- authorization

    def _authorize(self, change: Change) -> Change | ChangeResult:
        """Return the change to send, or its result if nothing is to be sent."""
        authorize_change(change, self.access)
        if change.criteria is not None and change.method in {"POST", "PUT"}:
            authorize_chains(change.criteria, self.access)
            if not self._is_unrestricted(change) or self.access.limits(change.type, "s") != ():
                message = (
                    "a conditional change needs an unrestricted token: search, then use the id"
                )
                raise RequestError(403, "forbidden", message)
            return change
        if change.method == "POST":
            self._check_within_limits(change, "c")
            return change
        if change.method == "PUT" and self._is_unrestricted(change):
            return change
        if change.criteria is not None:
            # a condition with several matches is refused here, not by the upstream server
            if (match := self._match(change.criteria)) is None:
                return no_match(change)
            check_if_match(change, match)
            change = replace(change, id=match.id, criteria=None, if_match=match.version_id)
        return self._authorize_existing(change)

    def _is_unrestricted(self, change: Change) -> bool:
        limits = (self.access.limits(change.type, action) for action in _ACTIONS[change.method])
        return all(limit == () for limit in limits)

    def _match(self, criteria: Query) -> Version | None:
        """Return the only match of a condition, None if there is none."""
        matches = self.search(replace(criteria, count=2), self.access).matches
        if len(matches) > 1:
            raise multiple_matches()
        return matches[0] if matches else None

    def _authorize_existing(self, change: Change) -> Change | ChangeResult:
        """Return the change of an existing resource with an If-Match of the version checked here.

        A patch is applied and validated here, and sent as an update.
        """
        old = self.fetch(change.type, change.id or "")
        check_if_match(change, old)
        if change.method == "PATCH":
            self._check_visible(change, old)
            resource = apply_patch(change, change.id or "", old, self.check)
        elif old is None or old.body is None:
            if change.method == "DELETE":
                return ChangeResult(version=old, outcome="missing")
            message = f"unknown {change.type}: with this token, create it by POST"
            raise RequestError(404, "not-found", message)
        else:
            self._check_visible(change, old)
            resource = change.resource or {}
        assert old is not None
        if change.method == "DELETE":
            if self._is_unrestricted(change):
                return change
            return replace(change, if_match=old.version_id)
        if dumps(resource) == old.body:
            return ChangeResult(version=old, outcome="unchanged")
        update = replace(
            change, method="PUT", patch=None, resource=resource, if_match=old.version_id
        )
        self._check_within_limits(update, "u")
        return update

    def _check_visible(self, change: Change, old: Version | None) -> None:
        """Raise 404 for the change of a resource that the client may not access."""
        if old is None or old.body is None:
            return
        for action in _VISIBLE_ACTIONS[change.method]:
            limits = self.access.limits(change.type, action) or ()
            if not is_visible(old, limits, self.upstream.base):
                raise RequestError(404, "not-found", f"unknown {change.type}")

    def _check_within_limits(self, change: Change, action: str) -> None:
        """Raise 403 for a resource that the client could not access afterwards."""
        if limits := self.access.limits(change.type, action):
            version = Version(
                type=change.type, id=change.id or str(uuid.uuid4()), version_id=1,
                last_updated=self.now, method=change.method, body=dumps(change.resource),
            )  # fmt: skip
            if not is_visible(version, limits, self.upstream.base):
                raise outside_limits()

    # --- requests

    def _send(self, changes: Sequence[Change]) -> Iterator[ChangeResult]:
        if len(changes) == 1 and changes[0].full_url is None:
            yield self._send_single(changes[0])
        elif changes:
            yield from self._send_transaction(changes)

    def _send_single(self, change: Change) -> ChangeResult:
        request = self._entry_request(change)
        conditions = {
            "If-Match": request.get("ifMatch"), "If-None-Exist": request.get("ifNoneExist"),
        }  # fmt: skip
        headers = _PREFER | {name: text for name, text in conditions.items() if text is not None}
        response = self.upstream.request(
            change.method, f"/{request['url']}", body=_body(change), headers=headers,
            # a repeated If-Match would fail if the lost response was that of a success
            idempotent=change.if_match is None
            and (change.method != "POST" or change.criteria is not None),
        )  # fmt: skip
        if response.status not in {200, 201, 204}:
            raise upstream_refusal(response)
        entry_response = EntryResponse(
            status=str(response.status),
            location=response.headers.get("Location"),
            etag=response.headers.get("ETag"),
        )
        return self._result(change, BundleEntry(resource=response.value, response=entry_response))

    def _send_transaction(self, changes: Sequence[Change]) -> Iterator[ChangeResult]:
        entries = []
        for change in changes:
            full_url = b'"fullUrl":%b,' % dumps(change.full_url) if change.full_url else b""
            body = _body(change)
            resource = b'"resource":%b,' % body if body is not None else b""
            request = dumps(self._entry_request(change))
            entries.append(b'{%b%b"request":%b}' % (full_url, resource, request))
        text = b'{"resourceType":"Bundle","type":"transaction","entry":[%b]}' % b",".join(entries)
        response = self.upstream.request("POST", "", body=text, headers=_PREFER, idempotent=False)
        received = parse_bundle(response).entry
        if len(received) != len(changes):
            raise bad_gateway("another number of entries than were sent")
        yield from map(self._result, changes, received)

    def _entry_request(self, change: Change) -> dict[str, str]:
        """Return Bundle.entry.request: method, url and conditions."""
        query = change.criteria and urlencode([*upstream_pairs(change.criteria, self.base)])
        url = change.type if change.method == "POST" else f"{change.type}/{change.id}"
        if query and change.method != "POST":
            url = f"{change.type}?{query}"
        check_path(f"/{url}")
        request = {"method": change.method, "url": url}
        if query and change.method == "POST":
            request["ifNoneExist"] = query
        if change.if_match is not None:
            request["ifMatch"] = format_etag(change.if_match)
        return request

    def _result(self, change: Change, entry: BundleEntry) -> ChangeResult:
        resource_type, response = change.type, entry.response
        if change.method == "DELETE":
            gone = deleted_version(resource_type, change.id or "", response.etag, self.now)
            return ChangeResult(version=gone, outcome="deleted")
        if entry.resource is not None and entry.resource.get("resourceType") == resource_type:
            version: Version | None = parse_version(entry.resource, resource_type, change.method)
        else:  # the response does not contain the stored resource
            location = LOCATION.search(response.location or "")
            version = self.fetch(resource_type, location[2] if location else change.id or "")
        if version is None:
            raise bad_gateway("a success, but the resource is missing")
        is_create = change.method == "POST" and change.criteria is None
        otherwise = "matched" if change.method == "POST" else "updated"
        is_created = is_create or response.status.startswith("201")
        return ChangeResult(version=version, outcome="created" if is_created else otherwise)


def _body(change: Change) -> bytes | None:
    """Return the JSON to send; without the id if the upstream server assigns one."""
    if change.resource is None or change.method != "POST":
        return None if change.resource is None else dumps(change.resource)
    return dumps({name: value for name, value in change.resource.items() if name != "id"})
