"""What a change does, in a transaction of whichever database.

https://hl7.org/fhir/R4/http.html#update https://hl7.org/fhir/R4/http.html#trules
"""

import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import jsonpatch

from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.resource_types import STORED
from fhir_b12.server.search import sql
from fhir_b12.server.search.parameters import indexed
from fhir_b12.server.store import Access, Change, ChangeResult, Resource, Version
from fhir_b12.server.store.schema import ADD_RANGE, ADD_TEXT
from fhir_b12.server.store.serialization import Prepared, prepared, renamed

ORDER = ("DELETE", "POST", "PUT", "PATCH")  #: in which the changes of a transaction are done
_HERE = re.compile(rf"(?:{'|'.join(STORED)})/[A-Za-z0-9\-.]{{1,64}}\Z")


class Connection(Protocol):
    """A transaction that writes."""

    def execute(self, sql: str, args: Sequence[Any] = ..., /) -> Any:
        """The rows; values stand for `?`."""

    def executemany(self, sql: str, args: Any, /) -> Any:
        """One statement for many rows of values."""

    def hold(self, names: Iterable[str], *, shared: bool = False) -> bool:
        """Let nobody else write what has these names until this is over.

        False where nobody else could have written since it was read.
        """


class _Row(NamedTuple):
    """What is there of a resource, before a change."""

    version: Version
    rid: int
    digest: Any  #: bytes; None of what was deleted


class Work:
    """The changes of one request: what can be done before the transaction, and in it."""

    def __init__(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        clock: Callable[[], int],
        base: str,
        integrity: bool,
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[ChangeResult]], list[Resource]] | None = None,
    ) -> None:
        self._changes, self._access = changes, access
        self._clock, self._base, self._integrity = clock, base, integrity
        self._now = 0
        self._check, self._audit = check, audit
        self._names = [each.id or str(uuid.uuid4()) for each in changes]
        self._ready: dict[int, Prepared] = {}
        self._again: dict[int, int] = {}  #: creates on a condition that an earlier one has
        for each in changes:
            hold_allowed(each, access)
        if not any(each.criteria for each in changes):
            self._prepare({})

    def _prepare(self, matched: dict[int, Version]) -> None:
        places = {
            each.full_url: f"{each.type}/{matched[index].id if index in matched else name}"
            for index, (each, name) in enumerate(zip(self._changes, self._names, strict=True))
            if each.full_url
        }
        for index, each in enumerate(self._changes):
            made = index not in self._again and not (index in matched and each.method == "POST")
            if each.resource is not None and made:
                name = matched[index].id if index in matched else self._names[index]
                resource = renamed(each.resource, places)
                self._ready[index] = prepared(resource, name, self._base)

    # --- in the transaction

    def carry_out(self, connection: Connection) -> list[ChangeResult]:
        """All of it; an exception means that nothing of it may stay."""
        self._now = self._clock()
        # conditions of a type wait for each other: what one makes the other may find
        named = {f"{each.type}/{each.id}" for each in self._changes if each.id}
        connection.hold(named | {f"{each.type}?" for each in self._changes if each.criteria})
        matched: dict[int, Version] = {}
        if any(each.criteria for each in self._changes):
            for index, each in enumerate(self._changes):
                if (version := self._match(connection, each)) is not None:
                    matched[index] = version
            self._hold_apart(matched)
            self._prepare(matched)
        numbers = range(len(self._changes))
        order = sorted(numbers, key=lambda index: ORDER.index(self._changes[index].method))
        dones: dict[int, ChangeResult] = {}
        for index in order:
            if index in self._again:
                dones[index] = ChangeResult(
                    version=dones[self._again[index]].version, outcome="matched"
                )
            else:
                dones[index] = self._do(connection, index, matched.get(index))
        told = [dones[index] for index in numbers]
        if self._integrity:
            _hold_together(connection, self._ready, told)
        for event in self._audit(told) if self._audit else ():
            name = str(uuid.uuid4())
            body = prepared(event, name, self._base)
            self._write(connection, "POST", event["resourceType"], name, None, body)
        return told

    def _match(self, connection: Connection, change: Change) -> Version | None:
        """What a condition finds: nothing, or the one."""
        if change.criteria is None:
            return None
        names = sql.found(connection, change.criteria, self._access, 2)
        while len(names) == 1 and connection.hold(names):
            names = sql.found(connection, change.criteria, self._access, 2)
        if len(names) > 1:
            message = "the condition finds more than one; say more exactly which"
            raise refuse(412, "multiple-matches", message)
        row = self._row(connection, names[0]) if names else None
        return row and row.version

    def _hold_apart(self, matched: dict[int, Version]) -> None:
        """Refuse two changes of one resource; the second create on one condition finds the first.

        https://hl7.org/fhir/R4/http.html#trules
        """
        first: dict[tuple[Any, ...], int] = {}
        for index, each in enumerate(self._changes):
            if index in matched and each.method == "POST":
                continue
            if index in matched or each.criteria is None:
                target: tuple[Any, ...] = (
                    each.type, matched[index].id if index in matched else self._names[index]
                )  # fmt: skip
            else:
                target = (each.type, each.criteria.pairs)
            other = first.setdefault(target, index)
            if other == index:
                continue
            if {each.method, self._changes[other].method} != {"POST"}:
                message = "two entries are for the same resource; send one of them"
                raise refuse(400, "duplicate", message)
            self._again[index], self._names[index] = other, self._names[other]

    def _row(self, connection: Connection, name: str) -> _Row | None:
        where = f"SELECT {sql.COLUMNS}, r.rid, r.digest FROM resource r WHERE r.name = ?"
        row = next(iter(connection.execute(where, (name,))), None)
        return None if row is None else _Row(sql.version_of(row), row[6], row[7])

    def _do(self, connection: Connection, index: int, match: Version | None) -> ChangeResult:
        change = self._changes[index]
        if match is not None and change.method == "POST":
            return ChangeResult(version=match, outcome="matched")
        if match is not None and change.id not in {None, match.id}:
            raise refuse(400, "invalid", "the id is not that of the resource the condition finds")
        if change.criteria is not None and match is None and change.method in {"DELETE", "PATCH"}:
            if change.method == "PATCH":
                raise refuse(404, "not-found", "the condition finds nothing to patch")
            return ChangeResult(version=None, outcome="missing")
        name = self._names[index] if match is None else match.id
        is_new = change.method == "POST" and change.id is None and match is None
        row = None if is_new else self._row(connection, f"{change.type}/{name}")
        old = row and row.version
        hold_version(change, old)
        if old is not None and old.body is not None:
            self._hold_sight(connection, change, name)
        if change.method == "DELETE":
            if old is None or old.body is None:
                return ChangeResult(version=old, outcome="missing")
            gone = self._write(connection, "DELETE", change.type, name, row, None)
            return ChangeResult(version=gone, outcome="deleted")
        if change.method == "PATCH":
            self._ready[index] = self._patched(change, name, old)
        return self._put(connection, change, name, row, self._ready[index])

    def _hold_sight(self, connection: Connection, change: Change, name: str) -> None:
        """What may not be seen may not be written over, and is as if it were not there."""
        for action in {"DELETE": "d", "PATCH": "ur"}.get(change.method, "u"):
            limits = self._access.limits(change.type, action)
            if limits and not _is_within(connection, change.type, name, limits):
                raise refuse(404, "not-found", f"there is no such {change.type}")

    def _put(
        self, connection: Connection, change: Change, name: str, row: _Row | None, body: Prepared
    ) -> ChangeResult:
        created = row is None or row.version.body is None
        if row is not None and not created and bytes(row.digest) == body.digest:
            return ChangeResult(version=row.version, outcome="unchanged")
        limits = self._access.limits(change.type, "c" if created else "u")
        if limits is None:
            raise _forbidden(change.type)
        version = self._write(connection, change.method, change.type, name, row, body)
        if limits and not _is_within(connection, change.type, name, limits):
            raise refuse(403, "forbidden", "this would be outside of what the token allows")
        return ChangeResult(version=version, outcome="created" if created else "updated")

    def _patched(self, change: Change, name: str, old: Version | None) -> Prepared:
        made = patched(change, name, old, self._check)
        try:
            return prepared(made, name, self._base)
        except JsonError as error:
            raise Refusal(422, error.issues) from error

    def _write(  # noqa: PLR0917 - what a version is
        self,
        connection: Connection,
        method: str,
        kind: str,
        name: str,
        row: _Row | None,
        body: Prepared | None,
    ) -> Version:
        """A new version in the place of the old one, which goes to the past."""
        old = row and row.version
        number = 1 if old is None else old.version_id + 1
        # time goes on from version to version, whatever the clock says
        updated = self._now if old is None else max(self._now, old.last_updated)
        text = None if body is None else body.body(number, updated)
        place, digest = f"{kind}/{name}", None if body is None else body.digest
        if row is None:
            add = (
                "INSERT INTO resource (name, type, version, updated, method, digest, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING rid"
            )
            given = (place, kind, number, updated, method, digest, text)
            rid = next(iter(connection.execute(add, given)))[0]
        else:
            rid = row.rid
            _keep_past(connection, rid)
            change = (
                "UPDATE resource SET version = ?, updated = ?, method = ?, digest = ?, body = ?"
                " WHERE rid = ?"
            )
            connection.execute(change, (number, updated, method, digest, text, rid))
        if body is not None:
            add_rows(connection, rid, body)
        return Version(
            type=kind, id=name, version_id=number, last_updated=updated, method=method, body=text
        )


def _forbidden(kind: str) -> Exception:
    return refuse(403, "forbidden", f"{kind} may not be written so with this token")


def hold_allowed(change: Change, access: Access) -> None:
    """Refuse what the token does not allow at all."""
    # a patch shows what it was made on
    for action in {"POST": "c", "DELETE": "d", "PATCH": "ur"}.get(change.method, "u"):
        if access.limits(change.type, action) is None:
            raise _forbidden(change.type)


def hold_version(change: Change, old: Version | None) -> None:
    """Refuse a change of another version than the one that is there."""
    if change.if_match is not None and (old is None or old.version_id != change.if_match):
        message = "another version is there by now; read it, and change that"
        raise refuse(412, "conflict", message)


def patched(
    change: Change, name: str, old: Version | None, check: Callable[[Resource], None] | None
) -> Resource:
    """What a patch makes of what is there.  https://hl7.org/fhir/R4/http.html#patch"""
    if old is None:
        raise refuse(404, "not-found", f"there is no such {change.type}")
    if old.body is None:
        raise refuse(410, "deleted", f"this {change.type} was deleted")
    try:
        made: Resource = jsonpatch.apply_patch(loads(old.body), change.patch or [])
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        message = "the patch does not fit the resource as it is now"
        raise refuse(422, "processing", message) from error
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise refuse(400, "structure", "the patch is no JSON Patch") from error
    if check is not None:
        check(made)
    if made.get("resourceType") != change.type or made.get("id") != name:
        raise refuse(422, "business-rule", "a patch cannot change the id or the type")
    return made


def add_rows(connection: Connection, rid: int, body: Prepared) -> None:
    """The rows by which a resource is found."""
    connection.executemany(ADD_TEXT, [(*row, rid) for row in body.rows.texts])
    connection.executemany(ADD_RANGE, [(*row, rid) for row in body.rows.ranges])


def drop_rows(connection: Connection, rid: int) -> None:
    """None of them."""
    connection.execute("DELETE FROM text_index WHERE rid = ?", (rid,))
    connection.execute("DELETE FROM range_index WHERE rid = ?", (rid,))


def _keep_past(connection: Connection, rid: int) -> None:
    connection.execute(
        "INSERT INTO past (rid, version, updated, method, body)"
        " SELECT rid, version, updated, method, body FROM resource WHERE rid = ?",
        (rid,),
    )
    drop_rows(connection, rid)


def _is_within(connection: Connection, kind: str, name: str, limits: Any) -> bool:
    bound, args = sql.holds(limits, kind)
    where = f"SELECT 1 FROM resource r WHERE r.name = ? AND ({bound})"
    return bool([*connection.execute(where, (f"{kind}/{name}", *args))])


# --- referential integrity


def _hold_together(
    connection: Connection, ready: dict[int, Prepared], dones: Sequence[ChangeResult]
) -> None:
    """Refuse references to what is not here, and the delete of what is referred to."""
    wrong: list[Issue] = []
    asked = {
        value
        for body in ready.values()
        for key, value, _, _ in body.rows.texts
        if key in _references() and _HERE.match(value)
    }
    connection.hold(asked, shared=True)
    for name in sorted(asked):
        row = connection.execute("SELECT body IS NOT NULL FROM resource WHERE name = ?", (name,))
        found = next(iter(row), None)
        if found is None or not found[0]:
            message = f"a reference leads to a {name.partition('/')[0]} that is not here"
            wrong.append(Issue("error", "not-found", "", message))
    for done in dones:
        if done.outcome == "deleted" and done.version is not None:
            name = f"{done.version.type}/{done.version.id}"
            keys = ", ".join(map(str, sorted(_references())))
            where = f"SELECT 1 FROM text_index WHERE param IN ({keys}) AND value = ? LIMIT 1"
            if [*connection.execute(where, (name,))]:
                message = f"other resources refer to the {done.version.type}; change them first"
                wrong.append(Issue("error", "conflict", "", message))
    if wrong:
        raise Refusal(409, wrong)


@cache
def _references() -> frozenset[int]:
    return frozenset(
        path.key for kind in STORED for path in indexed(kind) if path.kind == "reference"
    )
