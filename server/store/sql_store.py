"""What a store of tables does, whichever database keeps them."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config
from fhir_b12.server.errors import refuse
from fhir_b12.server.search import sql
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Change, ChangeResult, Page, Resource, Version
from fhir_b12.server.store import history as history_of
from fhir_b12.server.store.serialization import prepared
from fhir_b12.server.store.transaction import Connection, Work, add_rows, drop_rows

_CHUNK = 500  #: resources that a scan reads at a time
T = TypeVar("T")


class Relational(ABC):
    """A store whose database answers SQL; it says how a job gets a connection."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @abstractmethod
    def _do(self, job: Callable[[Connection], T]) -> T:
        """What a job that writes gives, once it is durable; if it raises, nothing is written."""

    @abstractmethod
    def _ask(self, job: Callable[[sql.Connection], T], *, snapshot: bool = False) -> T:
        """What a job that reads gives; all its statements see one state, if that is asked for."""

    def apply(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        clock: Callable[[], int],
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[ChangeResult]], list[Resource]] | None = None,
    ) -> list[ChangeResult]:
        """Do all changes or none; see the protocol."""
        work = Work(
            changes, access, clock=clock, base=self._config.base, integrity=self._config.integrity,
            check=check, audit=audit,
        )  # fmt: skip
        return self._do(work.carry_out)

    @abstractmethod
    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """A time before which nothing more will be written."""

    # --- reading

    def read(self, resource_type: str, resource_id: str, access: Access) -> Version | None:
        """The current version; None where it never was or is not visible."""
        limits = access.limits(resource_type, "r")
        if limits is None:
            raise refuse(403, "forbidden", f"{resource_type} may not be read with this token")
        args: tuple[Any, ...] = (f"{resource_type}/{resource_id}",)
        where = f"SELECT {sql.COLUMNS} FROM resource r WHERE r.name = ?"
        if limits:
            bound, more = sql.holds(limits, resource_type)
            where, args = f"{where} AND ({bound})", (*args, *more)
        row = self._ask(lambda connection: next(iter(connection.execute(where, args)), None))
        return None if row is None else sql.version_of(row)

    def vread(
        self,
        resource_type: str,
        resource_id: str,
        version_id: int,
        access: Access,
    ) -> Version | None:
        """One version; None as for `read`."""
        base = self._config.base
        return self._ask(
            lambda connection: history_of.vread(
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
        """Versions, the newest first."""
        asked = history_of.Asked(resource_type, resource_id, since, at, count, cursor)
        return self._ask(
            lambda connection: history_of.history(connection, asked, access, self._config.base),
            snapshot=True,
        )

    def search(self, query: Query, access: Access) -> Page:
        """A page of what matches."""
        # a page alone is one statement
        several = bool(query.total or query.includes)
        return self._ask(lambda connection: sql.run(connection, query, access), snapshot=several)

    def scan(
        self,
        types: Sequence[str],
        *,
        since: int | None,
        access: Access,
        limits: Sequence[Query],
    ) -> Iterator[Version]:
        """Everything of these types, in constant memory."""
        for kind in types:
            own = access.limits(kind, "r")
            if own is None:
                continue
            bound, args = "1 = 1", ()
            for each in filter(None, (own, [query for query in limits if query.type == kind])):
                more, given = sql.holds(each, kind)
                bound, args = f"{bound} AND ({more})", (*args, *given)
            where = (
                f"SELECT {sql.COLUMNS}, r.rid FROM resource r WHERE r.type = ? AND r.rid > ?"
                f" AND r.updated >= ? AND r.body IS NOT NULL AND {bound}"
                f" ORDER BY r.rid LIMIT {_CHUNK}"
            )
            last = 0
            while rows := self._rows(where, (kind, last, since or 0, *args)):
                yield from map(sql.version_of, rows)
                last = rows[-1][6]

    def _rows(self, where: str, args: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._ask(lambda connection: [*connection.execute(where, args)])

    # --- what else is kept

    def _kept(self, kind: str, key: str | None = None) -> list[Resource]:
        where, args = "SELECT value FROM kept WHERE kind = ?", [kind]
        if key is not None:
            where, args = f"{where} AND key = ?", [kind, key]
        return [loads(bytes(row[0])) for row in self._rows(f"{where} ORDER BY key", args)]

    def _put(self, kind: str, value: Resource) -> None:
        add = (
            "INSERT INTO kept (kind, key, until, value) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value"
        )
        given = (kind, value["id"], msgspec.json.encode(value))
        self._do(lambda connection: connection.execute(add, given).rowcount)

    def _delete(self, kind: str, key: str) -> bool:
        gone = "DELETE FROM kept WHERE kind = ? AND key = ?"
        return bool(self._do(lambda connection: connection.execute(gone, (kind, key)).rowcount))

    def _keep_until(self, kind: str, key: str, until: int, value: bytes | None) -> bool:
        """Keep a row until seconds since 1970; False where one of its key is there."""

        def job(connection: Connection) -> bool:
            old = "DELETE FROM kept WHERE kind = ? AND until < ?"
            connection.execute(old, (kind, int(time.time())))
            add = (
                "INSERT INTO kept (kind, key, until, value) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING"
            )
            return bool(connection.execute(add, (kind, key, until, value)).rowcount == 1)

        return self._do(job)

    def use_once(self, key: str, until: int) -> bool:
        """True the first time that a key is used; `until` is in seconds since 1970."""
        return self._keep_until("jti", key, until, None)

    def put_token(self, key: str, until: int, value: Resource) -> None:
        """Keep what a token allows, until seconds since 1970."""
        self._keep_until("token", key, until, msgspec.json.encode(value | {"until": until}))

    def token(self, key: str) -> Resource | None:
        """What a token allows, with `until`; None where there is none."""
        return next(iter(self._kept("token", key)), None)

    def clients(self) -> list[Resource]:
        """Every registered client."""
        return self._kept("client")

    def client(self, client_id: str) -> Resource | None:
        """One registered client."""
        return next(iter(self._kept("client", client_id)), None)

    def put_client(self, client: Resource) -> None:
        """Register or change a client."""
        self._put("client", client)

    def delete_client(self, client_id: str) -> bool:
        """Forget a client; False where there was none."""
        return self._delete("client", client_id)

    def put_job(self, job: Resource) -> None:
        """Keep the state of an export."""
        self._put("job", job)

    def job(self, job_id: str) -> Resource | None:
        """The state of one export."""
        return next(iter(self._kept("job", job_id)), None)

    def jobs(self) -> list[Resource]:
        """The states of all exports."""
        return self._kept("job")

    def delete_job(self, job_id: str) -> bool:
        """Forget an export; False where there was none."""
        return self._delete("job", job_id)

    # --- upkeep

    def reindex(self) -> int:
        """Make the search indexes again; how many resources they are of."""
        done, last = 0, 0
        which = "SELECT rid, name FROM resource WHERE rid > ? AND body IS NOT NULL ORDER BY rid"
        while rows := self._rows(f"{which} LIMIT {_CHUNK}", (last,)):
            names = [name for _, name in rows]

            def job(connection: Connection, names: Sequence[str] = names) -> None:
                connection.hold(names)
                for name in names:
                    where = "SELECT rid, body FROM resource WHERE name = ?"
                    rid, body = next(iter(connection.execute(where, (name,))))
                    drop_rows(connection, rid)
                    if body is not None:
                        resource = loads(bytes(body))
                        whole = prepared(resource, name.partition("/")[2], self._config.base)
                        add_rows(connection, rid, whole)

            self._do(job)
            done, last = done + len(rows), rows[-1][0]
        return done
