"""Queries asked of a database, SQLite or PostgreSQL alike.  https://hl7.org/fhir/R4/search.html

A test becomes a look-up of rows by their key; the rarest test leads, the others are asked of what
it finds. Pages go on after the last row, whatever was written meanwhile.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

from fhir_b12.definitions import R4
from fhir_b12.server.errors import refuse
from fhir_b12.server.search import query as queries
from fhir_b12.server.search.conditions import (
    AnyOf,
    Column,
    Linked,
    Match,
    Not,
    Reverse,
    Test,
    Together,
    Within,
    any_of,
)
from fhir_b12.server.search.parameters import parameters
from fhir_b12.server.search.query import Include, Query, Sort
from fhir_b12.server.store import Access, FullAccess, Page, Version

#: the columns of a version, in the order of `version_of`
COLUMNS = "r.type, r.name, r.version, r.updated, r.method, r.body"
_MOST_COUNTED = 1_000  #: rows after which a test is not rare
_MOST_INCLUDED = 1_000  #: resources beside a page
_ROUNDS = 5  #: of `:iterate`
_AT_ONCE = 200  #: values of one IN


class Connection(Protocol):
    """What is asked."""

    def execute(self, sql: str, args: Sequence[Any] = ...) -> Iterable[tuple[Any, ...]]:
        """The rows; values stand for `?`."""


Sql = tuple[str, tuple[Any, ...]]


def version_of(row: Sequence[Any]) -> Version:
    """A row of COLUMNS."""
    kind, name, version, updated, method, body = row[:6]
    return Version(
        type=kind,
        id=name.partition("/")[2],
        version_id=version,
        last_updated=updated,
        method=method,
        body=None if body is None else _bytes(body),
    )


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


def run(connection: Connection, query: Query, access: Access) -> Page:
    """A page of what matches and may be seen.

    Raises:
        Refusal: 403, the type may not be searched at all.

    """
    if query.cursor is not None and isinstance(query.cursor[-1], str):
        raise refuse(400, "value", "_page is not of this search")
    where, args = _whole(connection, query, access)
    total = None
    if query.total:
        sql = f"SELECT count(*) FROM resource r WHERE {where}"
        total = int(next(iter(connection.execute(sql, args)))[0])
    if not query.count:
        return Page(matches=(), total=total)
    rows = _rows(connection, query, where, args)
    after = None
    if len(rows) > query.count:
        rows = rows[: query.count]
        after = queries.page([*rows[-1][7:], rows[-1][6]])
    matches = tuple(map(version_of, rows))
    included = tuple(_included(connection, query, matches, access)) if query.includes else ()
    return Page(matches=matches, included=included, total=total, next=after)


def found(connection: Connection, query: Query, access: Access, most: int) -> list[str]:
    """The names, `Patient/1`, of at most so many matches."""
    where, args = _whole(connection, query, access)
    sql = f"SELECT r.name FROM resource r WHERE {where} LIMIT {most}"
    return [row[0] for row in connection.execute(sql, args)]


def holds(limits: Sequence[Query], kind: str) -> Sql:
    """The condition that `r` is within one of the limits of an access."""
    return _Making(kind, FullAccess()).bounds(limits, "r")


def _whole(connection: Connection, query: Query, access: Access) -> Sql:
    limits = access.limits(query.type, "s")
    if limits is None:
        raise refuse(403, "forbidden", f"{query.type} may not be searched with this token")
    made = _Making(query.type, access)
    tests = [made.resolved(each) for each in query.criteria]
    leader = _leader(connection, tests)
    # few rows are taken by their number, in its order, and not looked up by their type
    of_type = "r.type = ?" if leader is None else "(r.type = ?) IS TRUE"
    parts: list[Sql] = [(of_type, (query.type,)), ("r.body IS NOT NULL", ())]
    for index, each in enumerate(tests):
        parts.append(made.leading(each) if index == leader else made.one(each, "r"))
    if limits:
        parts.append(made.bounds(limits, "r"))
    return (
        " AND ".join(f"({sql})" for sql, _ in parts),
        tuple(arg for _, args in parts for arg in args),
    )


def _leader(connection: Connection, tests: Sequence[Test]) -> int | None:
    """The test that the fewest rows pass; counting ends soon."""
    able = [index for index, each in enumerate(tests) if isinstance(each, Match)]
    if len(able) < 2:
        return able[0] if able else None
    best, least = able[0], _MOST_COUNTED + 1
    for index in able:
        match = tests[index]
        assert isinstance(match, Match)
        sql, args = _candidates(match)
        # what is not rarer is counted no further; of several that are not rare the first leads
        counted = f"SELECT count(*) FROM ({sql} LIMIT ?) t"
        number = int(next(iter(connection.execute(counted, (*args, least))))[0])
        if number < least:
            best, least = index, number
    return best


def _candidates(match: Match) -> Sql:
    keys = ", ".join(map(str, match.keys))
    where = match.where.format(t="t") or "1 = 1"
    return f"SELECT t.rid FROM {match.table}_index t WHERE t.param IN ({keys}) AND {where}", (
        match.args
    )


class _Making:
    """Conditions on resources of a type, each row of an index by an alias of its own."""

    def __init__(self, kind: str, access: Access, numbers: "count[int] | None" = None) -> None:
        self.kind, self._access = kind, access
        self._numbers = count() if numbers is None else numbers

    def every(self, tests: Iterable[Test], r: str) -> Sql:
        parts = [self.one(self.resolved(each), r) for each in tests]
        return (
            " AND ".join(sql for sql, _ in parts) or "1 = 1",
            tuple(arg for _, args in parts for arg in args),
        )

    def bounds(self, limits: Sequence[Query], r: str) -> Sql:
        """One of the queries that bound an access holds."""
        parts = [self.every(each.criteria, r) for each in limits]
        return (
            " OR ".join(f"({sql})" for sql, _ in parts),
            tuple(arg for _, args in parts for arg in args),
        )

    def resolved(self, each: Test) -> Test:
        """A test of a compartment, by the parameters that put a resource of this type in it."""
        return _compartment(self.kind, each) if isinstance(each, Within) else each

    def leading(self, match: Test) -> Sql:
        assert isinstance(match, Match)
        sql, args = _candidates(match)
        return f"r.rid IN ({sql})", args

    def one(self, each: Test, r: str) -> Sql:
        if isinstance(each, Match):
            return self._match(each, r)
        if isinstance(each, Column):
            return each.where.format(r=r), each.args
        if isinstance(each, Not):
            sql, args = self.one(each.test, r)
            return f"NOT ({sql})", args
        if isinstance(each, AnyOf):
            parts = [self.one(test, r) for test in each.criteria]
            return (
                "(" + " OR ".join(sql for sql, _ in parts) + ")",
                tuple(arg for _, args in parts for arg in args),
            )
        if isinstance(each, Together):
            return self._together(each, r)
        if isinstance(each, Linked):
            return self._linked(each, r)
        if isinstance(each, Reverse):
            return self._reverse(each, r)
        raise TypeError(each)  # pragma: no cover - all kinds are above

    def _alias(self) -> str:
        return f"t{next(self._numbers)}"

    def _match(self, match: Match, r: str) -> Sql:
        t = self._alias()
        keys = ", ".join(map(str, match.keys))
        where = match.where.format(t=t) or "1 = 1"
        table = f"{match.table}_index {t}"
        sql = f"SELECT 1 FROM {table} WHERE {t}.param IN ({keys}) AND {where} AND {t}.rid = {r}.rid"
        return f"EXISTS ({sql})", match.args

    def _together(self, each: Together, r: str) -> Sql:
        names: list[str] = []
        tables: list[str] = []
        where: list[str] = []
        args: list[Any] = []
        for match in each.matches:
            t = self._alias()
            keys = ", ".join(map(str, match.keys))
            tables.append(f"{match.table}_index {t}")
            where += [f"{t}.param IN ({keys})", match.where.format(t=t), f"{t}.rid = {r}.rid"]
            if names:
                where.append(f"{t}.part = {names[0]}.part")
            names.append(t)
            args += match.args
        return f"EXISTS (SELECT 1 FROM {', '.join(tables)} WHERE {' AND '.join(where)})", (
            tuple(args)
        )

    def _linked(self, each: Linked, r: str) -> Sql:
        t, x = self._alias(), self._alias()
        sql, args = self._beyond(each.type, each.test, x)
        where = (
            f"{t}.param = {each.key} AND {t}.rid = {r}.rid AND {x}.name = {t}.value"
            f" AND {x}.type = '{each.type}' AND {x}.body IS NOT NULL AND {sql}"
        )
        return f"EXISTS (SELECT 1 FROM text_index {t}, resource {x} WHERE {where})", args

    def _beyond(self, kind: str, test: Test, x: str) -> Sql:
        """A test of a resource at the end of a chain, which must be one that may be searched."""
        limits = self._access.limits(kind, "s")
        if limits is None:
            raise refuse(403, "forbidden", f"{kind} may not be searched with this token")
        made = _Making(kind, self._access, self._numbers)
        sql, args = made.one(made.resolved(test), x)
        if not limits:
            return sql, args
        bound, more = made.bounds(limits, x)
        return f"{sql} AND ({bound})", (*args, *more)

    def _reverse(self, each: Reverse, r: str) -> Sql:
        t, x = self._alias(), self._alias()
        keys = ", ".join(map(str, each.keys))
        sql, args = self._beyond(each.type, each.test, x)
        where = (
            f"{t}.param IN ({keys}) AND {t}.value = {r}.name AND {x}.rid = {t}.rid"
            f" AND {x}.body IS NOT NULL AND {sql}"
        )
        return f"EXISTS (SELECT 1 FROM text_index {t}, resource {x} WHERE {where})", args


def _compartment(kind: str, each: Within) -> Test:
    name = f"{each.owner}/{each.name}"
    tests: list[Test] = []
    if kind == each.owner:
        tests.append(Column("{r}.name = ?", (name,)))
    known = parameters(kind)
    tests += [
        Match("text", known[code].keys, "{t}.value = ?", (name,))
        for code in R4.compartment(each.owner).get(kind, ())
        if code in known
    ]
    if len(tests) > 1 and all(isinstance(test, Match) for test in tests):
        keys = tuple({key for test in tests if isinstance(test, Match) for key in test.keys})
        return Match("text", keys, "{t}.value = ?", (name,))
    return any_of(tests)


# --- order and pages


def _rows(
    connection: Connection, query: Query, where: str, args: tuple[Any, ...]
) -> list[tuple[Any, ...]]:
    """One row more than a page has."""
    keys = [_key(each) for each in query.sort]
    columns = "".join(f", {sql} AS k{index}" for index, sql in enumerate(keys))
    inner = f"SELECT {COLUMNS}, r.rid{columns} FROM resource r WHERE {where}"
    order = [
        f"k{index} IS NULL, k{index}{' DESC' if each.descending else ''}"
        for index, each in enumerate(query.sort)
    ]
    if not query.sort:
        if query.cursor is not None:
            inner += " AND r.rid > ?"
            args = (*args, query.cursor[-1])
        return [*connection.execute(f"{inner} ORDER BY r.rid LIMIT {query.count + 1}", args)]
    sql = f"SELECT * FROM ({inner}) q"
    if query.cursor is not None:
        after, more = _after(query.sort, query.cursor)
        sql += f" WHERE {after}"
        args = (*args, *more)
    order.append("rid")
    return [*connection.execute(f"{sql} ORDER BY {', '.join(order)} LIMIT {query.count + 1}", args)]


def _key(each: Sort) -> str:
    """What a resource is sorted by: its first value, or its last where the order descends."""
    if each.column:
        return f"r.{each.column}"
    column = {"text": "value", "range": "high" if each.descending else "low"}[each.table]
    which = "max" if each.descending else "min"
    keys = ", ".join(map(str, each.keys))
    as_sent = " AND s.unit = ''" if each.table == "range" else ""  # not in base units
    return (
        f"(SELECT {which}(s.{column}) FROM {each.table}_index s"
        f" WHERE s.param IN ({keys}) AND s.rid = r.rid{as_sent})"
    )


def _after(sort: Sequence[Sort], cursor: Sequence[Any]) -> Sql:
    """What comes after a row in the order; what has no value comes last."""
    ways: list[str] = []
    args: list[Any] = []
    same = ""
    given: list[Any] = []
    for index, each in enumerate(sort):
        value = cursor[index]
        if value is not None:
            sign = "<" if each.descending else ">"
            ways.append(f"({same}(k{index} {sign} ? OR k{index} IS NULL))")
            args += [*given, value]
            same += f"k{index} = ? AND "
            given.append(value)
        else:
            same += f"k{index} IS NULL AND "
    ways.append(f"({same}rid > ?)")
    return " OR ".join(ways), (*args, *given, cursor[-1])


# --- what is shown beside  https://hl7.org/fhir/R4/search.html#revinclude


def _included(
    connection: Connection, query: Query, matches: Sequence[Version], access: Access
) -> Iterator[Version]:
    """Each resource once, and never a match again."""
    seen = {f"{each.type}/{each.id}" for each in matches}
    fresh, rules, left = list(matches), query.includes, _MOST_INCLUDED
    for _ in range(_ROUNDS):
        names = _named(connection, fresh, rules)
        fresh = []
        for version in _visible(connection, sorted(names - seen), access):
            seen.add(f"{version.type}/{version.id}")
            fresh.append(version)
            yield version
            left -= 1
            if not left:
                return
        rules = tuple(each for each in query.includes if each.iterate)
        if not fresh or not rules:
            return


def _named(
    connection: Connection, sources: Sequence[Version], rules: Sequence[Include]
) -> set[str]:
    """The names of what the rules lead to from these."""
    found: set[str] = set()
    for rule in rules:
        keys = ", ".join(map(str, rule.keys))
        if rule.reverse:
            ways = (
                f"SELECT x.name FROM text_index t JOIN resource x ON x.rid = t.rid"
                f" WHERE t.param IN ({keys}) AND t.value IN ({{marks}})"
            )
            names = [f"{each.type}/{each.id}" for each in sources]
        else:
            ways = (
                f"SELECT t.value FROM resource r JOIN text_index t ON t.rid = r.rid"
                f" WHERE t.param IN ({keys}) AND r.name IN ({{marks}})"
            )
            names = [f"{each.type}/{each.id}" for each in sources if each.type == rule.source]
        for part in _parts(names):
            rows = connection.execute(ways.format(marks=", ".join("?" * len(part))), part)
            found |= {
                row[0]
                for row in rows
                if not rule.target or rule.reverse or row[0].startswith(f"{rule.target}/")
            }
    return found


def _visible(connection: Connection, names: Sequence[str], access: Access) -> Iterator[Version]:
    for part in _parts(names):
        by_type: dict[str, list[str]] = {}
        for name in part:
            by_type.setdefault(name.partition("/")[0], []).append(name)
        for kind, listed in sorted(by_type.items()):
            limits = access.limits(kind, "r") if kind.isalpha() else None
            if limits is None:
                continue
            bound, args = holds(limits, kind) if limits else ("1 = 1", ())
            marks = ", ".join("?" * len(listed))
            sql = (
                f"SELECT {COLUMNS} FROM resource r WHERE r.name IN ({marks})"
                f" AND r.body IS NOT NULL AND ({bound}) ORDER BY r.rid"
            )
            yield from map(version_of, connection.execute(sql, (*listed, *args)))


def _parts(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(names), _AT_ONCE):
        yield tuple(names[start : start + _AT_ONCE])
