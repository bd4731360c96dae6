"""SQL as typed expressions: text and bound values, rendered with a dialect's placeholder.

An expression is a list of literal texts with one value between each two of them. Values never
become text: `render` joins the texts by placeholders, `?` for SQLite and `%s` for PostgreSQL. A
statement with `PARAMETER` instead of values is a template; it is rendered once and run with the
arguments of each call.
"""

from collections.abc import Iterable, Sequence
from typing import Any

SQLITE = "?"  #: placeholder of https://docs.python.org/3/library/sqlite3.html
POSTGRESQL = "%s"  #: placeholder of https://www.psycopg.org/psycopg3/docs/basic/params.html


class Bound:
    """A value passed to the database beside the text."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Sql:
    """A piece of SQL: literal texts with a value, or an argument of each run, between them."""

    __slots__ = ("_rendered", "_texts", "_values")

    def __init__(self, *parts: "str | Bound | Sql") -> None:
        texts, values = [""], []
        for part in parts:
            if type(part) is str:
                texts[-1] += part
            elif type(part) is Bound:
                texts.append("")
                values.append(part.value)
            else:
                piece: Sql = part  # type: ignore[assignment]
                texts[-1] += piece._texts[0]
                if len(piece._texts) > 1:
                    texts += piece._texts[1:]
                    values += piece._values
        self._texts: list[str] = texts
        self._values: list[Any] = values
        self._rendered: tuple[str, str] | None = None

    def render(self, placeholder: str) -> tuple[str, list[Any]]:
        """Return the text and the bound values; the text of a template is cached."""
        if self._values:
            return placeholder.join(self._texts), self._values
        if self._rendered is None or self._rendered[0] is not placeholder:
            self._rendered = placeholder, placeholder.join(self._texts)
        return self._rendered[1], self._values

    def as_(self, name: str) -> "Sql":
        """Return the expression with a column name."""
        return Sql(self, f" AS {name}")


def _parameter() -> Sql:
    parameter = Sql()
    parameter._texts = ["", ""]  # noqa: SLF001 - a placeholder without a value
    return parameter


PARAMETER = _parameter()  #: an argument given when the statement is run


class Condition(Sql):
    """An expression that is true or false."""

    __slots__ = ()

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(self, " AND ", other)

    def __or__(self, other: "Condition") -> "Condition":
        return Condition("(", self, " OR ", other, ")")

    def __invert__(self) -> "Condition":
        return Condition("NOT (", self, ")")

    def is_true(self) -> "Condition":
        """Return `(condition) IS TRUE`, which no index is used for."""
        return Condition("(", self, ") IS TRUE")


TRUE = Condition("1 = 1")
FALSE = Condition("1 = 0")


class Column(Sql):
    """A column of a table."""

    __slots__ = ("name", "text")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text  #: with the alias of its table
        self.name = text.rpartition(".")[2]

    __hash__ = Sql.__hash__

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return _comparison(self, "=", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return _comparison(self, "<>", other)

    def __lt__(self, other: Any) -> Condition:
        return _comparison(self, "<", other)

    def __le__(self, other: Any) -> Condition:
        return _comparison(self, "<=", other)

    def __gt__(self, other: Any) -> Condition:
        return _comparison(self, ">", other)

    def __ge__(self, other: Any) -> Condition:
        return _comparison(self, ">=", other)

    def plus(self, number: int) -> "Column":
        """Return the column plus a constant."""
        return Column(f"({self.text} + {number:d})")

    def is_null(self) -> Condition:
        """Return `column IS NULL`."""
        return Condition(f"{self.text} IS NULL")

    def is_not_null(self) -> Condition:
        """Return `column IS NOT NULL`."""
        return Condition(f"{self.text} IS NOT NULL")

    def equals_empty(self) -> Condition:
        """Return `column = ''`."""
        return Condition(f"{self.text} = ''")

    def contains(self, text: str) -> Condition:
        r"""Return a LIKE for a text anywhere in the column; `\`, `%` and `_` are literal."""
        escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return Condition(self.text, " LIKE ", Bound(f"%{escaped}%"), " ESCAPE '\\'")

    def starts_with(self, text: str) -> Condition:
        """Return a range of texts with a prefix, for which an index is used."""
        return (self >= text) & (self < text + _LAST)

    def one_of(self, values: Sequence[Any]) -> Condition:
        """Return `column IN (…)` with bound values."""
        parts: list[str | Bound] = []
        for value in values:
            parts += [", ", Bound(value)]
        return Condition(f"{self.text} IN (", *parts[1:], ")")

    def one_of_numbers(self, numbers: Iterable[int]) -> Condition:
        """Return `column IN (…)` with literal integers, which the planner can look up."""
        listed = ", ".join(f"{number:d}" for number in numbers)
        return Condition(f"{self.text} IN ({listed})")

    def one_of_rows(self, query: Sql) -> Condition:
        """Return `column IN (SELECT …)`."""
        return Condition(f"{self.text} IN (", query, ")")


_LAST = "\U0010ffff"  #: sorts after every text


def _comparison(column: Column, operator: str, other: Any) -> Condition:
    text = f"{column.text} {operator} "
    if isinstance(other, Sql):
        return Condition(text, other)
    condition = Condition(text)
    condition._texts.append("")  # noqa: SLF001 - `Bound` without its loop: most conditions
    condition._values.append(other)  # noqa: SLF001
    return condition


def all_of(conditions: Iterable[Condition]) -> Condition:
    """Return the conjunction of conditions, TRUE if there are none."""
    return _joined(list(conditions), " AND ") or TRUE


def any_of(conditions: Iterable[Condition]) -> Condition:
    """Return the disjunction of conditions in parentheses, FALSE if there are none."""
    listed = list(conditions)
    joined = _joined(listed, " OR ")
    if joined is None:
        return FALSE
    return joined if len(listed) == 1 else Condition("(", joined, ")")


def _joined(conditions: Sequence[Condition], operator: str) -> Condition | None:
    if len(conditions) < 2:
        return conditions[0] if conditions else None
    parts: list[str | Sql] = []
    for condition in conditions:
        parts += [operator, condition]
    return Condition(*parts[1:])


def exists(query: Sql) -> Condition:
    """Return `EXISTS (SELECT …)`."""
    return Condition("EXISTS (", query, ")")


def row_less(columns: Sequence[Column], values: Sequence[Any]) -> Condition:
    """Return `(a, b) < (x, y)`: the row sorts before the values."""
    names = ", ".join(column.text for column in columns)
    parts: list[str | Bound | Sql] = []
    for value in values:
        parts += [", ", value if isinstance(value, Sql) else Bound(value)]
    return Condition(f"({names}) < (", *parts[1:], ")")


class Table:
    """A table under an alias; without one its columns are unqualified."""

    def __init__(self, name: str, alias: str) -> None:
        self.table_name, self.alias = name, alias
        self.source = Column(f"{name} {alias}" if alias else name)

    def column(self, name: str) -> Column:
        """Return a column of this table."""
        return Column(f"{self.alias}.{name}" if self.alias else name)


ONE = Sql("1")
COUNT = Sql("count(*)")


def select(
    columns: Sequence[Sql],
    tables: Sequence[Table | Sql],
    where: Condition | None = None,
    order_by: Sequence[Sql] = (),
    limit: int | Sql | None = None,
) -> Sql:
    """Return a SELECT; several tables are joined by the conditions of `where`."""
    parts: list[str | Bound | Sql] = ["SELECT ", *_comma_list(columns), " FROM "]
    sources = [table.source if isinstance(table, Table) else table for table in tables]
    parts += _comma_list(sources)
    if where is not None:
        parts += [" WHERE ", where]
    if order_by:
        parts += [" ORDER BY ", *_comma_list(order_by)]
    if limit is not None:
        parts += [" LIMIT ", limit if isinstance(limit, Sql) else f"{limit:d}"]
    return Sql(*parts)


def column_list(columns: Sequence[Column]) -> Sql:
    """Return `a, b, c` as one expression, for statements that are built on each call."""
    return Sql(", ".join(column.text for column in columns))


def narrowed(query: Sql, condition: Condition) -> Sql:
    """Return a SELECT that ends with its WHERE, and with one more condition."""
    return Sql(query, " AND ", condition)


def count_up_to(query: Sql, most: int) -> Sql:
    """Return a SELECT of the number of rows of a query, counted up to a limit."""
    return Sql("SELECT count(*) FROM (", query, f" LIMIT {most:d}) t")


def _comma_list(items: Sequence[Sql]) -> list[str | Sql]:
    if len(items) == 1:
        return [items[0]]
    parts: list[str | Sql] = []
    for item in items:
        parts += [", ", item]
    return parts[1:]


def union_all(queries: Sequence[Sql]) -> Sql:
    """Return the rows of several queries, duplicates included."""
    parts: list[str | Sql] = []
    for query in queries:
        parts += [" UNION ALL ", query]
    return Sql(*parts[1:])


def subquery(query: Sql, alias: str) -> Sql:
    """Return a query as a table with an alias."""
    return Sql("(", query, f") {alias}")


def scalar(query: Sql) -> Sql:
    """Return a query of one value as an expression."""
    return Sql("(", query, ")")


def function(name: str, column: Column) -> Sql:
    """Return an aggregate or function of a column, `max(t.low)`."""
    return Sql(f"{name}({column.text})")


def descending(expression: Sql) -> Sql:
    """Return an ORDER BY term in descending order."""
    return Sql(expression, " DESC")


class Insert(Sql):
    """An INSERT of one row whose values are the arguments of each run."""

    __slots__ = ("_head", "_row", "_rows", "_tail")

    def __init__(self, table: Table, columns: Sequence[Column], tail: str = "") -> None:
        self._head: list[str | Sql] = ["INSERT INTO ", _target(table, columns), " VALUES "]
        self._row: list[str | Sql] = ["(", *_comma_list([PARAMETER] * len(columns)), ")"]
        self._tail = f" {tail}" if tail else ""
        self._rows: dict[int, Sql] = {}
        super().__init__(*self._head, *self._row, self._tail)

    def of_rows(self, count: int) -> Sql:
        """Return the statement for several rows, their values one after another."""
        statement = self._rows.get(count)
        if statement is None:
            parts: list[str | Sql] = []
            for _ in range(count):
                parts += [", ", *self._row]
            statement = self._rows[count] = Sql(*self._head, *parts[1:], self._tail)
        return statement


def _target(table: Table, columns: Sequence[Column]) -> str:
    return f"{table.table_name} ({', '.join(column.name for column in columns)})"


def insert_select(table: Table, columns: Sequence[Column], query: Sql) -> Sql:
    """Return an INSERT of the rows of a query."""
    return Sql("INSERT INTO ", _target(table, columns), " ", query)


def update(table: Table, columns: Sequence[Column], where: Condition) -> Sql:
    """Return an UPDATE whose new values are the arguments of each run."""
    parts: list[str | Sql] = []
    for column in columns:
        parts += [", ", f"{column.name} = ", PARAMETER]
    return Sql("UPDATE ", table.table_name, " SET ", *parts[1:], " WHERE ", where)


def delete(table: Table, where: Condition) -> Sql:
    """Return a DELETE."""
    return Sql("DELETE FROM ", table.table_name, " WHERE ", where)
