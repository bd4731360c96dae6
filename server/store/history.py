"""What resources have been.  https://hl7.org/fhir/R4/http.html#history"""

import base64
import binascii
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from fhir_b12.jsonio import loads
from fhir_b12.server.errors import refuse
from fhir_b12.server.search import sql
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Page, Version
from fhir_b12.server.store.schema import ADD_RANGE, ADD_TEXT, TABLES
from fhir_b12.server.store.serialization import prepared


class Connection(Protocol):
    """What is asked."""

    def execute(self, sql: str, args: Sequence[Any] = ..., /) -> Iterable[Any]:
        """The rows; values stand for `?`."""


class Asked(NamedTuple):
    """Which versions."""

    type: str
    id: str | None
    since: int | None
    at: int | None
    most: int
    cursor: str | None


#: every version, whether it is the current one
_ALL = """(
    SELECT rid, version, updated, method, body FROM resource WHERE {which}
    UNION ALL
    SELECT rid, version, updated, method, body FROM past
    WHERE rid IN (SELECT rid FROM resource WHERE {which})
) h"""
_COLUMNS = "r.type, r.name, h.version, h.updated, h.method, h.body, h.rid"


def vread(  # noqa: PLR0917 - what names a version
    connection: Connection, kind: str, name: str, version: int, access: Access, base: str
) -> Version | None:
    """One version, if it may be seen."""
    limits = _limits(access, kind)
    every = _ALL.format(which="name = ?")
    where = f"SELECT {_COLUMNS} FROM {every} JOIN resource r ON r.rid = h.rid WHERE h.version = ?"
    place = f"{kind}/{name}"
    row = next(iter(connection.execute(where, (place, place, version))), None)
    found = None if row is None else sql.version_of(row)
    return found if found is not None and is_visible(found, limits, base) else None


def history(connection: Connection, asked: Asked, access: Access, base: str) -> Page:
    """A page of versions, the newest first."""
    limits = _limits(access, asked.type)
    which, args = ("type = ?", [asked.type])
    if asked.id is not None:
        which, args = ("name = ?", [f"{asked.type}/{asked.id}"])
    args *= 2
    tests = ["1 = 1"]
    if asked.since is not None:
        tests.append("h.updated >= ?")
        args.append(asked.since)  # type: ignore[arg-type]
    if asked.at is not None:
        tests.append(
            "h.updated <= ? AND NOT EXISTS (SELECT 1 FROM past p WHERE p.rid = h.rid"
            " AND p.version > h.version AND p.updated <= ?)"
            " AND NOT (r.version > h.version AND r.updated <= ?)"
        )
        args += [asked.at] * 3  # type: ignore[list-item]
    source = f"{_ALL.format(which=which)} JOIN resource r ON r.rid = h.rid"
    total = None
    if not limits:
        counted = f"SELECT count(*) FROM {source} WHERE {' AND '.join(tests)}"
        total = int(next(iter(connection.execute(counted, args)))[0])
    if asked.cursor is not None:
        tests.append("(h.updated, h.rid, h.version) < (?, ?, ?)")
        args += _cursor(asked.cursor)  # type: ignore[arg-type]
    where = (
        f"SELECT {_COLUMNS} FROM {source} WHERE {' AND '.join(tests)}"
        f" ORDER BY h.updated DESC, h.rid DESC, h.version DESC LIMIT {asked.most + 1}"
    )
    rows = [*connection.execute(where, args)] if asked.most else []
    following = None
    if len(rows) > asked.most:
        rows = rows[: asked.most]
        following = _written(rows[-1][3], rows[-1][6], rows[-1][2])
    versions = map(sql.version_of, rows)
    shown = tuple(each for each in versions if is_visible(each, limits, base))
    return Page(matches=shown, total=total, next=following)


def _limits(access: Access, kind: str) -> tuple[Query, ...]:
    limits = access.limits(kind, "r")
    if limits is None:
        raise refuse(403, "forbidden", f"{kind} may not be read with this token")
    return limits


def _written(*values: int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).rstrip(b"=").decode()


def _cursor(text: str) -> list[int]:
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        return [*msgspec.json.decode(raw, type=tuple[int, int, int])]
    except (binascii.Error, ValueError, msgspec.DecodeError, UnicodeError):
        raise refuse(400, "value", "_page is not what a next link said") from None


# --- a version of which only the text is left


def is_visible(version: Version, limits: Sequence[Query], base: str) -> bool:
    """Whether a version's own content is within the limits, asked as of any resource.

    A deleted one has no content and is within none.
    """
    if not limits:
        return True
    if version.body is None:
        return False
    connection = _alone()
    body = prepared(loads(version.body), version.id, base)
    place = f"{version.type}/{version.id}"
    connection.execute("BEGIN")
    try:
        connection.execute(
            "INSERT INTO resource (rid, name, type, version, updated, method, body)"
            " VALUES (1, ?, ?, 1, ?, 'PUT', '')",
            (place, version.type, version.last_updated),
        )
        connection.executemany(ADD_TEXT, [(*row, 1) for row in body.rows.texts])
        connection.executemany(ADD_RANGE, [(*row, 1) for row in body.rows.ranges])
        bound, args = sql.holds(limits, version.type)
        found = connection.execute(f"SELECT 1 FROM resource r WHERE {bound}", args).fetchone()
    finally:
        connection.execute("ROLLBACK")
    return found is not None


_own = threading.local()


def _alone() -> sqlite3.Connection:
    """A database in memory with our tables, empty; each thread has its own."""
    found: sqlite3.Connection | None = getattr(_own, "connection", None)
    if found is None:
        found = _own.connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in TABLES:
            found.execute(statement)
    return found
