"""The changes of one request in one database transaction.

https://hl7.org/fhir/R4/http.html#update https://hl7.org/fhir/R4/http.html#trules
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jsonpatch

from fhir_b12.jsonio import JsonError, loads
from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.query import Query
from fhir_b12.server.search.sql_builder import R, limits_condition
from fhir_b12.server.sql.expressions import ONE, PARAMETER, Insert, delete, insert_select, select
from fhir_b12.server.sql.expressions import update as update_statement
from fhir_b12.server.sql.tables import past_table, range_index, resource_table, text_index
from fhir_b12.server.store import Access, Change, ChangeResult, Resource, Version
from fhir_b12.server.store.connection import WriteConnection, first_row, version_of_row
from fhir_b12.server.store.integrity import check_integrity
from fhir_b12.server.store.schema import INSERT_RANGE, INSERT_TEXT
from fhir_b12.server.store.serialization import PreparedBody, prepare_body, replace_references
from fhir_b12.server.store.sql_search import matching_names

ORDER = ("DELETE", "POST", "PUT", "PATCH")  #: in which the changes of a transaction are applied
#: actions, in `cruds`, that a change of an existing resource needs
_EXISTING_ACTIONS = {"DELETE": "d", "PATCH": "ur"}
#: actions that a change needs; the response to a patch shows the patched resource
_ACTIONS = {"POST": "c", **_EXISTING_ACTIONS}

_TABLE, _PAST = resource_table(""), past_table("")
_TEXTS, _RANGES = text_index(""), range_index("")
_ROW = select([*R.version_columns, R.rid, R.digest], [R], R.name == PARAMETER)
_INSERT = Insert(
    _TABLE,
    (_TABLE.name, _TABLE.type, _TABLE.version, _TABLE.updated, _TABLE.method, _TABLE.digest,
     _TABLE.body),
    "RETURNING rid",
)  # fmt: skip
_UPDATE = update_statement(
    _TABLE,
    (_TABLE.version, _TABLE.updated, _TABLE.method, _TABLE.digest, _TABLE.body),
    _TABLE.rid == PARAMETER,
)
_KEEP_PAST = insert_select(
    _PAST,
    (_PAST.rid, _PAST.version, _PAST.updated, _PAST.method, _PAST.body),
    select(
        (_TABLE.rid, _TABLE.version, _TABLE.updated, _TABLE.method, _TABLE.body),
        [_TABLE],
        _TABLE.rid == PARAMETER,
    ),
)
_DELETE_TEXTS = delete(_TEXTS, _TEXTS.rid == PARAMETER)
_DELETE_RANGES = delete(_RANGES, _RANGES.rid == PARAMETER)


class _Row(NamedTuple):
    """The stored row of a resource before a change."""

    version: Version
    rid: int
    digest: Any  #: bytes; None after a delete


class Transaction:
    """The changes of one request; what needs no database is done before the transaction begins."""

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
        self._ids = [change.id or str(uuid.uuid4()) for change in changes]
        self._bodies: dict[int, PreparedBody] = {}
        #: conditional creates with the condition of an earlier one, by index
        self._duplicates: dict[int, int] = {}
        for change in changes:
            authorize_change(change, access)
        if not any(change.criteria for change in changes):
            self._prepare({})

    def _prepare(self, matched: dict[int, Version]) -> None:
        """Serialize and index the resources, with references between entries replaced."""
        targets = {
            change.full_url: f"{change.type}/{matched[i].id if i in matched else resource_id}"
            for i, (change, resource_id) in enumerate(zip(self._changes, self._ids, strict=True))
            if change.full_url
        }
        for i, change in enumerate(self._changes):
            exists = i in self._duplicates or (i in matched and change.method == "POST")
            if change.resource is not None and not exists:
                resource_id = matched[i].id if i in matched else self._ids[i]
                resource = replace_references(change.resource, targets)
                self._bodies[i] = prepare_body(resource, resource_id, self._base)

    # --- in the transaction

    def run(self, connection: WriteConnection) -> list[ChangeResult]:
        """Apply the changes in a transaction of the caller, who rolls back on an exception.

        Returns:
            The results in the order of the changes.

        """
        self._now = self._clock()
        # conditions on one type wait for each other: the result of one may match another
        names = {f"{change.type}/{change.id}" for change in self._changes if change.id}
        conditions = {f"{change.type}?" for change in self._changes if change.criteria}
        connection.lock(names | conditions)
        matched: dict[int, Version] = {}
        if any(change.criteria for change in self._changes):
            for i, change in enumerate(self._changes):
                if (version := self._match(connection, change)) is not None:
                    matched[i] = version
            self._check_distinct(matched)
            self._prepare(matched)
        indexes = range(len(self._changes))
        results: dict[int, ChangeResult] = {}
        for i in sorted(indexes, key=lambda index: ORDER.index(self._changes[index].method)):
            if i in self._duplicates:
                created = results[self._duplicates[i]].version
                results[i] = ChangeResult(version=created, outcome="matched")
            else:
                results[i] = self._apply(connection, i, matched.get(i))
        ordered = [results[i] for i in indexes]
        if self._integrity:
            check_integrity(connection, self._bodies.values(), ordered)
        for event in self._audit(ordered) if self._audit else ():
            resource_id = str(uuid.uuid4())
            body = prepare_body(event, resource_id, self._base)
            self._write(connection, "POST", event["resourceType"], resource_id, None, body)
        return ordered

    def _match(self, connection: WriteConnection, change: Change) -> Version | None:
        """Return the only match of a condition, locked; None if there is none."""
        if change.criteria is None:
            return None
        names = matching_names(connection, change.criteria, self._access, 2)
        while len(names) == 1 and connection.lock(names):
            names = matching_names(connection, change.criteria, self._access, 2)
        if len(names) > 1:
            raise multiple_matches()
        row = _read_row(connection, names[0]) if names else None
        return row and row.version

    def _check_distinct(self, matched: dict[int, Version]) -> None:
        """Refuse two changes of one resource; the second of two equal conditional creates matches.

        https://hl7.org/fhir/R4/http.html#trules
        """
        first: dict[tuple[Any, ...], int] = {}
        for i, change in enumerate(self._changes):
            if i in matched and change.method == "POST":
                continue
            if i in matched or change.criteria is None:
                resource_id = matched[i].id if i in matched else self._ids[i]
                target: tuple[Any, ...] = (change.type, resource_id)
            else:
                target = (change.type, change.criteria.pairs)
            other = first.setdefault(target, i)
            if other == i:
                continue
            if {change.method, self._changes[other].method} != {"POST"}:
                message = "two entries change the same resource: send one of them"
                raise RequestError(400, "duplicate", message)
            self._duplicates[i], self._ids[i] = other, self._ids[other]

    def _apply(self, connection: WriteConnection, i: int, match: Version | None) -> ChangeResult:
        """Apply one change; `match` is the match of its condition."""
        change = self._changes[i]
        if match is not None and change.method == "POST":
            return ChangeResult(version=match, outcome="matched")
        if match is not None and change.id not in {None, match.id}:
            message = "the id differs from that of the resource that matches the condition"
            raise RequestError(400, "invalid", message)
        if change.criteria is not None and match is None and change.method in _EXISTING_ACTIONS:
            return no_match(change)
        resource_id = self._ids[i] if match is None else match.id
        is_new = change.method == "POST" and change.id is None and match is None
        row = None if is_new else _read_row(connection, f"{change.type}/{resource_id}")
        old = row and row.version
        check_if_match(change, old)
        if old is not None and old.body is not None:
            self._authorize_existing(connection, change, resource_id)
        if change.method == "DELETE":
            if old is None or old.body is None:
                return ChangeResult(version=old, outcome="missing")
            gone = self._write(connection, "DELETE", change.type, resource_id, row, None)
            return ChangeResult(version=gone, outcome="deleted")
        if change.method == "PATCH":
            self._bodies[i] = self._patched(change, resource_id, old)
        return self._put(connection, change, resource_id, row, self._bodies[i])

    def _authorize_existing(
        self, connection: WriteConnection, change: Change, resource_id: str
    ) -> None:
        """Raise 404 for the change of a resource that the client may not access."""
        for action in _EXISTING_ACTIONS.get(change.method, "u"):
            limits = self._access.limits(change.type, action)
            if limits and not _is_within(connection, change.type, resource_id, limits):
                raise RequestError(404, "not-found", f"unknown {change.type}")

    def _put(
        self,
        connection: WriteConnection,
        change: Change,
        resource_id: str,
        row: _Row | None,
        body: PreparedBody,
    ) -> ChangeResult:
        is_created = row is None or row.version.body is None
        if row is not None and not is_created and bytes(row.digest) == body.digest:
            return ChangeResult(version=row.version, outcome="unchanged")
        limits = self._access.limits(change.type, "c" if is_created else "u")
        if limits is None:
            raise _forbidden(change.type)
        version = self._write(connection, change.method, change.type, resource_id, row, body)
        if limits and not _is_within(connection, change.type, resource_id, limits):
            raise outside_limits()
        return ChangeResult(version=version, outcome="created" if is_created else "updated")

    def _patched(self, change: Change, resource_id: str, old: Version | None) -> PreparedBody:
        resource = apply_patch(change, resource_id, old, self._check)
        try:
            return prepare_body(resource, resource_id, self._base)
        except JsonError as error:
            raise RequestError(422, issues=error.issues) from error

    def _write(  # noqa: PLR0917 - what a version consists of
        self,
        connection: WriteConnection,
        method: str,
        resource_type: str,
        resource_id: str,
        row: _Row | None,
        body: PreparedBody | None,
    ) -> Version:
        """Store a version; the one it supersedes, if any, becomes history."""
        old = row and row.version
        number = 1 if old is None else old.version_id + 1
        # lastUpdated never decreases from version to version, even if the clock does
        updated = self._now if old is None else max(self._now, old.last_updated)
        text = None if body is None else body.body(number, updated)
        digest = None if body is None else body.digest
        if row is None:
            name = f"{resource_type}/{resource_id}"
            values = (name, resource_type, number, updated, method, digest, text)
            rid = first_row(connection.run(_INSERT, values))[0]
        else:
            rid = row.rid
            connection.run(_KEEP_PAST, (rid,))
            delete_index_rows(connection, rid)
            connection.run(_UPDATE, (number, updated, method, digest, text, rid))
        if body is not None:
            insert_index_rows(connection, rid, body)
        return Version(
            type=resource_type, id=resource_id, version_id=number, last_updated=updated,
            method=method, body=text,
        )  # fmt: skip


# --- rules that every store applies


def authorize_change(change: Change, access: Access) -> None:
    """Refuse a change whose type and method the token does not allow.

    Raises:
        RequestError: 403.

    """
    for action in _ACTIONS.get(change.method, "u"):
        if access.limits(change.type, action) is None:
            raise _forbidden(change.type)


def check_if_match(change: Change, old: Version | None) -> None:
    """Refuse a change of another version than the current one (optimistic locking).

    https://hl7.org/fhir/R4/http.html#concurrency

    Raises:
        RequestError: 412.

    """
    if change.if_match is not None and (old is None or old.version_id != change.if_match):
        message = "If-Match is not the current version: read the resource and change that version"
        raise RequestError(412, "conflict", message)


def apply_patch(
    change: Change,
    resource_id: str,
    old: Version | None,
    check: Callable[[Resource], None] | None,
) -> Resource:
    """Return the patched resource.  https://hl7.org/fhir/R4/http.html#patch

    Args:
        change: the change with the JSON Patch.
        resource_id: the id of the resource.
        old: its current version, None if it never existed.
        check: validates the result; raises RequestError if it is invalid.

    Raises:
        RequestError: 404 or 410 if there is nothing to patch, 400 or 422 if the patch is invalid.

    """
    if old is None:
        raise RequestError(404, "not-found", f"unknown {change.type}")
    if old.body is None:
        raise RequestError(410, "deleted", f"this {change.type} was deleted")
    try:
        resource: Resource = jsonpatch.apply_patch(loads(old.body), change.patch or [])
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        message = "the patch does not apply to the current version of the resource"
        raise RequestError(422, "processing", message) from error
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise RequestError(400, "structure", "the body is not a JSON Patch") from error
    if check is not None:
        check(resource)
    if resource.get("resourceType") != change.type or resource.get("id") != resource_id:
        raise RequestError(
            422, "business-rule", "a patch cannot change the id or the resource type"
        )
    return resource


def multiple_matches() -> RequestError:
    """Return the refusal of a condition with several matches."""
    message = "several resources match the condition: make it more specific"
    return RequestError(412, "multiple-matches", message)


def no_match(change: Change) -> ChangeResult:
    """Return the result of a conditional delete without a match.

    Raises:
        RequestError: 404 for a patch, which needs a resource.

    """
    if change.method == "PATCH":
        raise RequestError(404, "not-found", "no resource matches the condition of the patch")
    return ChangeResult(version=None, outcome="missing")


def outside_limits() -> RequestError:
    """Return the refusal of a resource that the client could not access afterwards."""
    return RequestError(403, "forbidden", "the resource would be outside the limits of the token")


def _forbidden(resource_type: str) -> RequestError:
    message = (
        f"{resource_type} may not be changed this way with this token: a wider scope is needed"
    )
    return RequestError(403, "forbidden", message)


# --- rows


def _read_row(connection: WriteConnection, name: str) -> _Row | None:
    row = first_row(connection.run(_ROW, (name,)))
    return None if row is None else _Row(version_of_row(row), row[6], row[7])


def insert_index_rows(connection: WriteConnection, rid: int, body: PreparedBody) -> None:
    """Insert the index rows of a resource."""
    connection.run_many(INSERT_TEXT, [(*row, rid) for row in body.rows.texts])
    connection.run_many(INSERT_RANGE, [(*row, rid) for row in body.rows.ranges])


def delete_index_rows(connection: WriteConnection, rid: int) -> None:
    """Delete all index rows of a resource."""
    connection.run(_DELETE_TEXTS, (rid,))
    connection.run(_DELETE_RANGES, (rid,))


def _is_within(
    connection: WriteConnection, resource_type: str, resource_id: str, limits: Sequence[Query]
) -> bool:
    named = R.name == f"{resource_type}/{resource_id}"
    statement = select([ONE], [R], named & limits_condition(limits, resource_type))
    return first_row(connection.run(statement)) is not None
