"""Earlier versions of resources.  https://hl7.org/fhir/R4/http.html#history"""

import sqlite3
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from fhir_b12.jsonio import loads
from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.cursor import decode_cursor, encode_cursor
from fhir_b12.server.search.query import Access, Query
from fhir_b12.server.search.sql_builder import R, limits_condition
from fhir_b12.server.sql.expressions import (
    COUNT,
    ONE,
    PARAMETER,
    SQLITE,
    Condition,
    Sql,
    Table,
    all_of,
    descending,
    exists,
    row_less,
    select,
    subquery,
    union_all,
)
from fhir_b12.server.sql.tables import past_table, resource_table
from fhir_b12.server.store import Page, Version
from fhir_b12.server.store.connection import ReadConnection, first_row, version_of_row
from fhir_b12.server.store.schema import INSERT_RANGE, INSERT_TEXT, TABLES
from fhir_b12.server.store.serialization import prepare_body


class HistoryRequest(NamedTuple):
    """A history interaction; see `Store.history`."""

    type: str
    id: str | None
    since: int | None
    at: int | None
    size: int  #: versions per page
    cursor: str | None


_CURRENT, _PAST = resource_table(""), past_table("")
_H = past_table("h")  #: every version, current or superseded
_P = past_table("p")
_COLUMNS = (R.type, R.name, _H.version, _H.updated, _H.method, _H.body, _H.rid)


def _all_versions(which: Condition) -> Sql:
    """Return the versions of the resources that fulfil a condition, as table `h`."""
    columns = (_CURRENT.rid, _CURRENT.version, _CURRENT.updated, _CURRENT.method, _CURRENT.body)
    of_past = (_PAST.rid, _PAST.version, _PAST.updated, _PAST.method, _PAST.body)
    numbers = select([_CURRENT.rid], [_CURRENT], which)
    past = select(of_past, [_PAST], _PAST.rid.one_of_rows(numbers))
    return subquery(union_all([select(columns, [_CURRENT], which), past]), "h")


_ONE_VERSION = select(
    _COLUMNS,
    [_all_versions(_CURRENT.name == PARAMETER), R],
    (R.rid == _H.rid) & (_H.version == PARAMETER),
)


class _Shape(NamedTuple):
    """What decides the text of the statements of a history; their arguments are not part of it."""

    is_instance: bool  #: of one resource, not of a type
    has_since: bool
    has_at: bool
    has_cursor: bool


_MOMENTS = 3  #: arguments of `_current_at`


def _current_at() -> list[Condition]:
    """Return the conditions that a version was the current one at a moment."""
    successor = all_of([_P.rid == _H.rid, _P.version > _H.version, _P.updated <= PARAMETER])
    return [
        _H.updated <= PARAMETER,
        ~exists(select([ONE], [_P], successor)),
        ~((R.version > _H.version) & (R.updated <= PARAMETER)),
    ]


def _source(shape: _Shape) -> tuple[list[Table | Sql], list[Condition]]:
    """Return the tables of a history and the conditions on its versions."""
    which = _CURRENT.name if shape.is_instance else _CURRENT.type
    conditions = [R.rid == _H.rid]
    if shape.has_since:
        conditions.append(_H.updated >= PARAMETER)
    if shape.has_at:
        conditions += _current_at()
    return [_all_versions(which == PARAMETER), R], conditions


@cache
def _count_statement(shape: _Shape) -> Sql:
    """Return the statement that counts the versions on all pages."""
    tables, conditions = _source(shape)
    return select([COUNT], tables, all_of(conditions))


@cache
def _page_statement(shape: _Shape) -> Sql:
    """Return the statement of a page, newest versions first."""
    tables, conditions = _source(shape)
    order = (_H.updated, _H.rid, _H.version)
    if shape.has_cursor:
        conditions.append(row_less(order, [PARAMETER] * len(order)))
    return select(
        _COLUMNS, tables, all_of(conditions), order_by=[*map(descending, order)], limit=PARAMETER
    )


def read_version(  # noqa: PLR0917 - what identifies a version
    connection: ReadConnection,
    resource_type: str,
    resource_id: str,
    version_id: int,
    access: Access,
    base: str,
) -> Version | None:
    """Return one version; None if it does not exist or access is denied.

    Raises:
        RequestError: 403 if the type may not be read.

    """
    limits = read_limits(access, resource_type)
    name = f"{resource_type}/{resource_id}"
    row = first_row(connection.run(_ONE_VERSION, (name, name, version_id)))
    version = None if row is None else version_of_row(row)
    return version if version is not None and is_visible(version, limits, base) else None


def history_page(
    connection: ReadConnection, request: HistoryRequest, access: Access, base: str
) -> Page:
    """Return a page of versions, newest first.

    Raises:
        RequestError: 403 if the type may not be read, 400 for an invalid cursor.

    """
    limits = read_limits(access, request.type)
    shape = _Shape(
        is_instance=request.id is not None,
        has_since=request.since is not None,
        has_at=request.at is not None,
        has_cursor=request.cursor is not None,
    )
    which = request.type if request.id is None else f"{request.type}/{request.id}"
    args: list[Any] = [which, which]
    if request.since is not None:
        args.append(request.since)
    if request.at is not None:
        args += [request.at] * _MOMENTS
    total = None
    if not limits:
        total = int(first_row(connection.run(_count_statement(shape), args))[0])
    if request.cursor is not None:
        args += _position(request.cursor)
    page = _page_statement(shape)
    rows = [*connection.run(page, [*args, request.size + 1])] if request.size else []
    cursor = None
    if len(rows) > request.size:
        rows = rows[: request.size]
        last = rows[-1]
        cursor = encode_cursor((last[3], last[6], last[2]))
    versions = map(version_of_row, rows)
    visible = tuple(version for version in versions if is_visible(version, limits, base))
    return Page(matches=visible, total=total, next=cursor)


def _position(cursor: str) -> tuple[Any, ...]:
    try:
        return decode_cursor(cursor, tuple[int, int, int])
    except ValueError as error:
        raise RequestError(400, "value", f"_page: {error}") from None


def read_limits(access: Access, resource_type: str) -> tuple[Query, ...]:
    """Return the restrictions of reading a type.

    Raises:
        RequestError: 403 if the type may not be read.

    """
    limits = access.limits(resource_type, "r")
    if limits is None:
        raise RequestError(403, "forbidden", f"{resource_type} may not be read with this token")
    return limits


# --- access to a version that is not indexed


_INSERT = (
    "INSERT INTO resource (rid, name, type, version, updated, method, body)"
    " VALUES (1, ?, ?, 1, ?, 'PUT', '')"
)


def is_visible(version: Version, limits: Sequence[Query], base: str) -> bool:
    """Return True if the content of a version is within at least one of the limits.

    A deleted version has no content and is within none. The version is indexed in an empty
    database in memory, so that limits mean the same for it as for a current version.
    """
    if not limits:
        return True
    if version.body is None:
        return False
    connection = _memory_database()
    body = prepare_body(loads(version.body), version.id, base)
    name = f"{version.type}/{version.id}"
    connection.execute("BEGIN")
    try:
        connection.execute(_INSERT, (name, version.type, version.last_updated))
        texts = [(*row, 1) for row in body.rows.texts]
        connection.executemany(INSERT_TEXT.render(SQLITE)[0], texts)
        ranges = [(*row, 1) for row in body.rows.ranges]
        connection.executemany(INSERT_RANGE.render(SQLITE)[0], ranges)
        within = select([ONE], [R], limits_condition(limits, version.type))
        row = connection.execute(*within.render(SQLITE)).fetchone()
    finally:
        connection.execute("ROLLBACK")
    return row is not None


_thread = threading.local()


def _memory_database() -> sqlite3.Connection:
    """Return the empty database of this thread, with the tables of a store."""
    connection: sqlite3.Connection | None = getattr(_thread, "connection", None)
    if connection is None:
        connection = _thread.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in TABLES:
            connection.execute(statement)
    return connection
