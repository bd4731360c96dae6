"""Searches in a database: matches, order and pages.  https://hl7.org/fhir/R4/search.html

The most selective criterion is looked up first, the others are checked for its matches. A page
continues after the last row of the previous one, whatever was written in between.
"""

from collections.abc import Sequence
from typing import Any

from fhir_b12.server.errors import RequestError
from fhir_b12.server.search.criteria import Criterion, IndexMatch
from fhir_b12.server.search.cursor import INVALID, encode_cursor
from fhir_b12.server.search.query import Access, Query, Sort
from fhir_b12.server.search.sql_builder import ConditionBuilder, R, candidates
from fhir_b12.server.sql.expressions import (
    COUNT,
    Column,
    Condition,
    Sql,
    all_of,
    any_of,
    column_list,
    count_up_to,
    descending,
    function,
    scalar,
    select,
    subquery,
)
from fhir_b12.server.sql.tables import IndexTable, range_index, text_index
from fhir_b12.server.store import Page
from fhir_b12.server.store.connection import ReadConnection, first_row, version_of_row
from fhir_b12.server.store.sql_includes import included_versions

_MOST_COUNTED = 1_000  #: index rows from which a criterion is not selective
_ALL_COLUMNS = Column("*")
_HAS_BODY = R.body.is_not_null()
_COLUMNS = column_list([*R.version_columns, R.rid])


def search_page(connection: ReadConnection, query: Query, access: Access) -> Page:
    """Return a page of the matches that the client may see.

    Raises:
        RequestError: 403 if the type may not be searched, 400 for a cursor of another store.

    """
    if query.cursor is not None and isinstance(query.cursor[-1], str):
        raise RequestError(400, "value", f"_page: {INVALID}")
    where = _where(connection, query, access)
    total = None
    if query.total:
        total = int(first_row(connection.run(select([COUNT], [R], where)))[0])
    if not query.count:
        return Page(matches=(), total=total)
    rows = _page_rows(connection, query, where)
    cursor = None
    if len(rows) > query.count:
        rows = rows[: query.count]
        cursor = encode_cursor([*rows[-1][7:], rows[-1][6]])
    matches = tuple(map(version_of_row, rows))
    included = included_versions(connection, query, matches, access) if query.includes else ()
    return Page(matches=matches, included=tuple(included), total=total, next=cursor)


def matching_names(
    connection: ReadConnection, query: Query, access: Access, most: int
) -> list[str]:
    """Return `Type/id` of at most so many matches."""
    where = _where(connection, query, access)
    return [row[0] for row in connection.run(select([R.name], [R], where, limit=most))]


def _where(connection: ReadConnection, query: Query, access: Access) -> Condition:
    limits = access.limits(query.type, "s")
    if limits is None:
        raise RequestError(403, "forbidden", f"{query.type} may not be searched with this token")
    builder = ConditionBuilder(query.type, access)
    criteria = [builder.resolve(criterion) for criterion in query.criteria]
    leader = _most_selective(connection, criteria)
    of_type = R.type == query.type
    # the few rows of a selective criterion are read by number, not looked up by their type
    conditions = [of_type if leader is None else of_type.is_true(), _HAS_BODY]
    for index, criterion in enumerate(criteria):
        if index == leader:
            assert isinstance(criterion, IndexMatch)
            conditions.append(R.rid.one_of_rows(candidates(criterion)))
        else:
            conditions.append(builder.condition(criterion, R))
    if limits:
        conditions.append(builder.within(limits, R))
    return all_of(conditions)


def _most_selective(connection: ReadConnection, criteria: Sequence[Criterion]) -> int | None:
    """Return the index of the criterion with the fewest index rows, counted up to a limit."""
    indexes = [i for i, criterion in enumerate(criteria) if isinstance(criterion, IndexMatch)]
    if len(indexes) < 2:
        return indexes[0] if indexes else None
    best, fewest = indexes[0], _MOST_COUNTED + 1
    for index in indexes:
        match = criteria[index]
        assert isinstance(match, IndexMatch)
        # counting ends at the fewest so far; of several that are not selective the first leads
        rows = first_row(connection.run(count_up_to(candidates(match), fewest)))[0]
        if rows < fewest:
            best, fewest = index, int(rows)
    return best


# --- order and pages


def _page_rows(connection: ReadConnection, query: Query, where: Condition) -> list[tuple[Any, ...]]:
    """Return the rows of a page and one more, each with its number and sort keys at the end."""
    keys = [_sort_key(sort).as_(f"k{index}") for index, sort in enumerate(query.sort)]
    columns = [_COLUMNS, *keys]
    if not query.sort:
        if query.cursor is not None:
            where &= R.rid > query.cursor[-1]
        ordered = select(columns, [R], where, order_by=[R.rid], limit=query.count + 1)
        return [*connection.run(ordered)]
    order: list[Sql] = []
    for index, sort in enumerate(query.sort):
        key = Column(f"k{index}")
        order += [key.is_null(), descending(key) if sort.descending else key]
    after = None if query.cursor is None else _after(query.sort, query.cursor)
    page = select(
        [_ALL_COLUMNS],
        [subquery(select(columns, [R], where), "q")],
        after,
        order_by=[*order, Column("rid")],
        limit=query.count + 1,
    )
    return [*connection.run(page)]


def _sort_key(sort: Sort) -> Sql:
    """Return what a resource is sorted by: its first value, its last if descending."""
    if sort.column:
        return R.column(sort.column)
    s: IndexTable
    if sort.is_range:
        s = ranges = range_index("s")
        value = ranges.high if sort.descending else ranges.low
    else:
        s = texts = text_index("s")
        value = texts.value
    condition = s.param.one_of_numbers(sort.keys) & (s.rid == R.rid)
    if sort.is_range:  # as sent, not in base units
        condition &= s.column("unit").equals_empty()
    return scalar(select([function("max" if sort.descending else "min", value)], [s], condition))


def _after(sort: Sequence[Sort], row: Sequence[Any]) -> Condition:
    """Return the condition that a row sorts after another; rows without a value are last."""
    alternatives: list[Condition] = []
    equal: list[Condition] = []
    for index, key_sort in enumerate(sort):
        key, value = Column(f"k{index}"), row[index]
        if value is None:
            equal.append(key.is_null())
            continue
        later = key < value if key_sort.descending else key > value
        alternatives.append(all_of([*equal, later | key.is_null()]))
        equal.append(key == value)
    alternatives.append(all_of([*equal, Column("rid") > row[-1]]))
    return any_of(alternatives)
