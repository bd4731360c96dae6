"""Changes sent to another server, alone or as one transaction, and held to the token before.

https://hl7.org/fhir/R4/http.html#transaction
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from msgspec.structs import replace

from fhir_b12.jsonio import dumps
from fhir_b12.server.errors import refuse
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Change, ChangeResult, Page, Resource, Version
from fhir_b12.server.store.history import is_visible
from fhir_b12.server.store.proxy import responses, search_url
from fhir_b12.server.store.proxy.client import Upstream, hold, refused, strange
from fhir_b12.server.store.proxy.responses import Entry, Told
from fhir_b12.server.store.transaction import hold_allowed, hold_version, patched
from fhir_b12.server.wire.conditional_headers import format_etag

Check = Callable[[Resource], None]
#: what a change needs of an access, in `cruds`; and what of that lets it see what is there
_ACTIONS = {"POST": "c", "PUT": "uc", "PATCH": "ur", "DELETE": "d"}
_SIGHT = {"PUT": "u", "PATCH": "ur", "DELETE": "d"}
_PREFER = {"Prefer": "return=representation, handling=strict"}


@dataclass(frozen=True, kw_only=True)
class Sending:
    """The changes of one request."""

    upstream: Upstream
    access: Access
    base: str  #: our own
    now: int
    check: Check | None
    fetch: Callable[[str, str], Version | None]
    search: Callable[[Query, Access], Page]

    def carry_out(self, changes: Sequence[Change]) -> list[ChangeResult]:
        """All of it; several are a transaction there."""
        ready = [self._ready(each) for each in changes]
        sent = self._sent([each for each in ready if isinstance(each, Change)])
        dones = [each if isinstance(each, ChangeResult) else next(sent) for each in ready]
        return [
            replace(done, version=replace(done.version, method="PATCH"))
            if change.method == "PATCH" and done.version is not None
            else done
            for change, done in zip(changes, dones, strict=True)
        ]

    # --- held to the token

    def _ready(self, change: Change) -> Change | ChangeResult:
        """The change as it can be sent, or what became of it already."""
        hold_allowed(change, self.access)
        if change.criteria is not None and change.method in {"POST", "PUT"}:
            search_url.hold_sight(change.criteria, self.access)
            if not self._is_free(change) or self.access.limits(change.type, "s") != ():
                message = "a condition cannot be bounded by this token; read, then write by id"
                raise refuse(403, "forbidden", message)
            return change
        if change.method == "POST":
            self._hold_within(change, "c")
            return change
        if change.method == "PUT" and self._is_free(change):
            return change
        if change.criteria is not None:
            # whether all that match would be deleted is not left to the other server
            if (match := self._match(change.criteria)) is None:
                return _nothing(change)
            hold_version(change, match)
            change = replace(change, id=match.id, criteria=None, if_match=match.version_id)
        return self._over(change)

    def _is_free(self, change: Change) -> bool:
        return all(self.access.limits(change.type, each) == () for each in _ACTIONS[change.method])

    def _match(self, criteria: Query) -> Version | None:
        """What a condition finds: nothing, or the one."""
        found = self.search(replace(criteria, count=2), self.access).matches
        if len(found) > 1:
            message = "the condition finds more than one; say more exactly which"
            raise refuse(412, "multiple-matches", message)
        return found[0] if found else None

    def _over(self, change: Change) -> Change | ChangeResult:
        """A change of what is there, which is looked at first and must be there still.

        A patch is made here, to be held to our rules, and is sent as an update.
        """
        old = self.fetch(change.type, change.id or "")
        hold_version(change, old)
        if change.method == "PATCH":
            self._hold_sight(change, old)
            resource = patched(change, change.id or "", old, self.check)
        elif old is None or old.body is None:
            if change.method == "DELETE":
                return ChangeResult(version=old, outcome="missing")
            message = f"there is no such {change.type}; with this token POST gives a new one its id"
            raise refuse(404, "not-found", message)
        else:
            self._hold_sight(change, old)
            resource = change.resource or {}
        assert old is not None
        if change.method == "DELETE":
            return change if self._is_free(change) else replace(change, if_match=old.version_id)
        if dumps(resource) == old.body:
            return ChangeResult(version=old, outcome="unchanged")
        made = replace(change, method="PUT", patch=None, resource=resource, if_match=old.version_id)
        self._hold_within(made, "u")
        return made

    def _hold_sight(self, change: Change, old: Version | None) -> None:
        """What may not be seen may not be written over, and is as if it were not there."""
        if old is not None and old.body is not None:
            limits = [self.access.limits(change.type, each) for each in _SIGHT[change.method]]
            if not all(is_visible(old, each or (), self.upstream.base) for each in limits):
                raise refuse(404, "not-found", f"there is no such {change.type}")

    def _hold_within(self, change: Change, action: str) -> None:
        """Refuse what the token could not see once it is there."""
        if limits := self.access.limits(change.type, action):
            version = Version(
                type=change.type, id=change.id or str(uuid.uuid4()), version_id=1,
                last_updated=self.now, method=change.method, body=dumps(change.resource),
            )  # fmt: skip
            if not is_visible(version, limits, self.upstream.base):
                raise refuse(403, "forbidden", "this would be outside of what the token allows")

    # --- sent

    def _sent(self, changes: Sequence[Change]) -> Iterator[ChangeResult]:
        if len(changes) == 1 and changes[0].full_url is None:
            yield self._alone(changes[0])
        elif changes:
            yield from self._together(changes)

    def _alone(self, change: Change) -> ChangeResult:
        asked = self._request(change)
        named = {"If-Match": asked.get("ifMatch"), "If-None-Exist": asked.get("ifNoneExist")}
        headers = _PREFER | {name: text for name, text in named.items() if text is not None}
        answer = self.upstream.ask(
            change.method, f"/{asked['url']}", body=_text(change), headers=headers,
            # asked twice it is done once; after a lost answer If-Match would find our own change
            again=change.if_match is None
            and (change.method != "POST" or change.criteria is not None),
        )  # fmt: skip
        if answer.status not in {200, 201, 204}:
            raise refused(answer)
        place, etag = answer.headers.get("Location"), answer.headers.get("ETag")
        told = Told(status=str(answer.status), location=place, etag=etag)
        return self._done(change, Entry(resource=answer.value, response=told))

    def _together(self, changes: Sequence[Change]) -> Iterator[ChangeResult]:
        rows = []
        for each in changes:
            name = b'"fullUrl":%b,' % dumps(each.full_url) if each.full_url else b""
            text = _text(each)
            body = b'"resource":%b,' % text if text is not None else b""
            rows.append(b'{%b%b"request":%b}' % (name, body, dumps(self._request(each))))
        text = b'{"resourceType":"Bundle","type":"transaction","entry":[%b]}' % b",".join(rows)
        answer = self.upstream.ask("POST", "", body=text, headers=_PREFER, again=False)
        told = responses.bundle(answer).entry
        if len(told) != len(changes):
            raise strange("with another number of entries than were sent")
        yield from map(self._done, changes, told)

    def _request(self, change: Change) -> dict[str, str]:
        """Method, url and conditions, as an entry of a transaction has them."""
        query = change.criteria and urlencode([*search_url.pairs(change.criteria, self.base)])
        url = change.type if change.method == "POST" else f"{change.type}/{change.id}"
        if query and change.method != "POST":
            url = f"{change.type}?{query}"
        hold(f"/{url}")
        asked = {"method": change.method, "url": url}
        if query and change.method == "POST":
            asked["ifNoneExist"] = query
        if change.if_match is not None:
            asked["ifMatch"] = format_etag(change.if_match)
        return asked

    def _done(self, change: Change, entry: Entry) -> ChangeResult:
        kind, told = change.type, entry.response
        if change.method == "DELETE":
            gone = responses.gone(kind, change.id or "", told.etag, self.now)
            return ChangeResult(version=gone, outcome="deleted")
        if entry.resource is not None and entry.resource.get("resourceType") == kind:
            version: Version | None = responses.version(entry.resource, kind, change.method)
        else:  # it shows what it keeps to who reads it
            place = responses.NAME.search(told.location or "")
            version = self.fetch(kind, place[2] if place else change.id or "")
        if version is None:
            raise strange("without what it keeps")
        made = change.method == "POST" and change.criteria is None
        otherwise = "matched" if change.method == "POST" else "updated"
        outcome = "created" if made or told.status.startswith("201") else otherwise
        return ChangeResult(version=version, outcome=outcome)


def _nothing(change: Change) -> ChangeResult:
    if change.method == "PATCH":
        raise refuse(404, "not-found", "the condition finds nothing to patch")
    return ChangeResult(version=None, outcome="missing")


def _text(change: Change) -> bytes | None:
    """What is sent; what gets its id there has none of ours."""
    if change.resource is None or change.method != "POST":
        return None if change.resource is None else dumps(change.resource)
    return dumps({name: each for name, each in change.resource.items() if name != "id"})
