"""What the SQL of the stores needs of a database connection, and rows as versions."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from fhir_b12.server.sql.expressions import Sql
from fhir_b12.server.store import Version


class ReadConnection(Protocol):
    """A connection that reads."""

    def run(self, statement: Sql, args: Sequence[Any] = ..., /) -> Any:
        """Run a statement and return its rows; `args` are the values of a template."""


class WriteConnection(ReadConnection, Protocol):
    """A connection inside a transaction that writes."""

    def run_many(self, statement: Any, rows: Sequence[Sequence[Any]], /) -> None:
        """Run an INSERT for many rows of values."""

    def lock(self, names: Iterable[str], *, shared: bool = False) -> bool:
        """Lock names until the end of the transaction, so that no other writer changes them.

        Args:
            names: `Type/id` of resources, or `Type?` for conditional interactions.
            shared: whether other transactions may hold a shared lock, too.

        Returns:
            True if another writer may have changed what was read before the lock; False if the
            names were locked already, or the connection is the only writer.

        """


def version_of_row(row: Sequence[Any]) -> Version:
    """Return the version of a row that begins with `ResourceTable.version_columns`."""
    resource_type, name, version_id, last_updated, method, body = row[:6]
    return Version(
        type=resource_type,
        id=name.partition("/")[2],
        version_id=version_id,
        last_updated=last_updated,
        method=method,
        body=None if body is None else _bytes(body),
    )


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


def first_row(rows: Iterable[Any]) -> Any:
    """Return the first row; None if there are none."""
    return next(iter(rows), None)
