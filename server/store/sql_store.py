"""What the SQLite and PostgreSQL stores share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config
from fhir_b12.server.search.query import Query
from fhir_b12.server.search.sql_builder import R, limits_condition
from fhir_b12.server.sql.expressions import (
    PARAMETER,
    Insert,
    Sql,
    all_of,
    delete,
    select,
)
from fhir_b12.server.sql.tables import KEPT, resource_table
from fhir_b12.server.store import Access, Change, ChangeResult, Page, Resource, Version
from fhir_b12.server.store.connection import (
    ReadConnection,
    WriteConnection,
    first_row,
    version_of_row,
)
from fhir_b12.server.store.history import (
    HistoryRequest,
    history_page,
    read_limits,
    read_version,
)
from fhir_b12.server.store.serialization import prepare_body
from fhir_b12.server.store.sql_search import search_page
from fhir_b12.server.store.transaction import (
    Transaction,
    delete_index_rows,
    insert_index_rows,
)

_CHUNK = 500  #: resources that a scan reads at once
_CURRENT = select(R.version_columns, [R], R.name == PARAMETER)
_TABLE = resource_table("")
_BODY = select([_TABLE.rid, _TABLE.body], [_TABLE], _TABLE.name == PARAMETER)
_NEXT_NAMES = select(
    [_TABLE.rid, _TABLE.name],
    [_TABLE],
    (_TABLE.rid > PARAMETER) & _TABLE.body.is_not_null(),
    order_by=[_TABLE.rid],
    limit=_CHUNK,
)
_IS_READY = Sql("SELECT 1")
_KEPT_COLUMNS = (KEPT.kind, KEPT.key, KEPT.until, KEPT.value)
_KEPT_OF_KIND = select([KEPT.value], [KEPT], KEPT.kind == PARAMETER, order_by=[KEPT.key])
_THE_KEPT = (KEPT.kind == PARAMETER) & (KEPT.key == PARAMETER)
_KEPT_BY_KEY = select([KEPT.value], [KEPT], _THE_KEPT)
_DELETE_KEPT = delete(KEPT, _THE_KEPT)
_DELETE_EXPIRED = delete(KEPT, (KEPT.kind == PARAMETER) & (KEPT.until < PARAMETER))
_PUT = Insert(KEPT, _KEPT_COLUMNS, "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value")
_INSERT_ONCE = Insert(KEPT, _KEPT_COLUMNS, "ON CONFLICT DO NOTHING")
T = TypeVar("T")


class SqlStore(ABC):
    """A store in an SQL database; subclasses provide the connections."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @abstractmethod
    def _do(self, job: Callable[[WriteConnection], T]) -> T:
        """Run a job in a transaction and return its result once that is durable.

        If the job raises, nothing is written.
        """

    @abstractmethod
    def _ask(self, job: Callable[[ReadConnection], T], *, snapshot: bool = False) -> T:
        """Run a job that reads; with `snapshot` all its statements see the same state."""

    @abstractmethod
    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """Return a time before which no further versions will be committed."""

    def apply(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        clock: Callable[[], int],
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[ChangeResult]], list[Resource]] | None = None,
    ) -> list[ChangeResult]:
        """Apply all changes atomically; see `Store.apply`."""
        transaction = Transaction(
            changes, access, clock=clock, base=self._config.base, integrity=self._config.integrity,
            check=check, audit=audit,
        )  # fmt: skip
        return self._do(transaction.run)

    # --- reading

    def read(self, resource_type: str, resource_id: str, access: Access) -> Version | None:
        """Return the current version; None if it never existed or access is denied."""
        limits = read_limits(access, resource_type)
        name = f"{resource_type}/{resource_id}"
        if limits:
            where = (R.name == name) & limits_condition(limits, resource_type)
            restricted = select(R.version_columns, [R], where)
            row = self._ask(lambda connection: first_row(connection.run(restricted)))
        else:
            row = self._ask(lambda connection: first_row(connection.run(_CURRENT, (name,))))
        return None if row is None else version_of_row(row)

    def vread(
        self, resource_type: str, resource_id: str, version_id: int, access: Access
    ) -> Version | None:
        """Return one version; None if it never existed or access is denied."""
        base = self._config.base
        return self._ask(
            lambda connection: read_version(
                connection, resource_type, resource_id, version_id, access, base
            )
        )

    def history(
        self,
        resource_type: str,
        resource_id: str | None,
        *,
        since: int | None,
        at: int | None,
        count: int,
        cursor: str | None,
        access: Access,
    ) -> Page:
        """Return a page of versions, newest first; see `Store.history`."""
        request = HistoryRequest(resource_type, resource_id, since, at, count, cursor)
        return self._ask(
            lambda connection: history_page(connection, request, access, self._config.base),
            snapshot=True,
        )

    def search(self, query: Query, access: Access) -> Page:
        """Return a page of matches."""
        # a page without total and includes is one statement
        needs_snapshot = bool(query.total or query.includes)
        return self._ask(
            lambda connection: search_page(connection, query, access), snapshot=needs_snapshot
        )

    def scan(
        self,
        types: Sequence[str],
        *,
        since: int | None,
        access: Access,
        limits: Sequence[Query],
    ) -> Iterator[Version]:
        """Yield all current resources of these types, in constant memory; see `Store.scan`."""
        for resource_type in types:
            own = access.limits(resource_type, "r")
            if own is None:
                continue
            conditions = [
                R.type == resource_type, R.updated >= (since or 0), R.body.is_not_null(),
            ]  # fmt: skip
            further = [query for query in limits if query.type == resource_type]
            conditions += [limits_condition(x, resource_type) for x in (own, further) if x]
            last = 0
            while True:
                where = all_of([*conditions, R.rid > last])
                columns = [*R.version_columns, R.rid]
                chunk = select(columns, [R], where, order_by=[R.rid], limit=_CHUNK)
                if not (rows := self._rows(chunk)):
                    break
                yield from map(version_of_row, rows)
                last = rows[-1][6]

    def _rows(self, statement: Sql, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._ask(lambda connection: [*connection.run(statement, args)])

    # --- clients, tokens, export jobs

    def _kept(self, kind: str, key: str | None = None) -> list[Resource]:
        if key is None:
            rows = self._rows(_KEPT_OF_KIND, (kind,))
        else:
            rows = self._rows(_KEPT_BY_KEY, (kind, key))
        return [loads(bytes(row[0])) for row in rows]

    def _put(self, kind: str, value: Resource) -> None:
        row = (kind, value["id"], 0, msgspec.json.encode(value))
        self._do(lambda connection: connection.run(_PUT, row).rowcount)

    def _delete(self, kind: str, key: str) -> bool:
        deleted = self._do(lambda connection: connection.run(_DELETE_KEPT, (kind, key)).rowcount)
        return bool(deleted)

    def _insert_once(self, kind: str, key: str, until: int, value: bytes | None) -> bool:
        """Insert a row with an expiry, seconds since 1970 UTC; False if its key exists."""

        def job(connection: WriteConnection) -> bool:
            connection.run(_DELETE_EXPIRED, (kind, int(time.time())))
            inserted = connection.run(_INSERT_ONCE, (kind, key, until, value)).rowcount
            return bool(inserted == 1)

        return self._do(job)

    def use_once(self, key: str, until: int) -> bool:
        """Return True for the first use of a key until its expiry, seconds since 1970 UTC."""
        return self._insert_once("jti", key, until, None)

    def put_token(self, key: str, until: int, value: Resource) -> None:
        """Store the grant of an access token until its expiry, seconds since 1970 UTC."""
        self._insert_once("token", key, until, msgspec.json.encode(value | {"until": until}))

    def token(self, key: str) -> Resource | None:
        """Return the grant of an access token with its expiry `until`; None if unknown."""
        return first_row(self._kept("token", key))  # type: ignore[no-any-return]

    def clients(self) -> list[Resource]:
        """Return all registered clients."""
        return self._kept("client")

    def client(self, client_id: str) -> Resource | None:
        """Return a registered client; None if unknown."""
        return first_row(self._kept("client", client_id))  # type: ignore[no-any-return]

    def put_client(self, client: Resource) -> None:
        """Register a client or replace its registration."""
        self._put("client", client)

    def delete_client(self, client_id: str) -> bool:
        """Delete a client; return False if unknown."""
        return self._delete("client", client_id)

    def put_job(self, job: Resource) -> None:
        """Store the state of an export job."""
        self._put("job", job)

    def job(self, job_id: str) -> Resource | None:
        """Return the state of an export job; None if unknown."""
        return first_row(self._kept("job", job_id))  # type: ignore[no-any-return]

    def jobs(self) -> list[Resource]:
        """Return the states of all export jobs."""
        return self._kept("job")

    def delete_job(self, job_id: str) -> bool:
        """Delete an export job; return False if unknown."""
        return self._delete("job", job_id)

    # --- administration

    def _answers(self) -> bool:
        return bool(self._rows(_IS_READY))

    def reindex(self) -> int:
        """Rebuild the search index; return the number of resources."""
        count, last = 0, 0
        while rows := self._rows(_NEXT_NAMES, (last,)):
            names = [name for _, name in rows]

            def job(connection: WriteConnection, names: Sequence[str] = names) -> None:
                connection.lock(names)
                for name in names:
                    rid, body = first_row(connection.run(_BODY, (name,)))
                    delete_index_rows(connection, rid)
                    if body is not None:
                        resource_id = name.partition("/")[2]
                        resource = loads(bytes(body))
                        prepared = prepare_body(resource, resource_id, self._config.base)
                        insert_index_rows(connection, rid, prepared)

            self._do(job)
            count, last = count + len(rows), rows[-1][0]
        return count
