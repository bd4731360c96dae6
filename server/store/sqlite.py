"""The embedded store: a SQLite file.  https://www.sqlite.org/wal.html

One thread writes. What waits for it is written together and made durable by one sync, each request
in a savepoint of its own; an answer is given after the sync. Each thread that reads has a
connection of its own and is never waited for.
"""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec

from fhir_b12.jsonio import loads
from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.outcomes import Refusal, refuse
from fhir_b12.server.search import sql
from fhir_b12.server.search.query import Query
from fhir_b12.server.store import Access, Change, Done, Page, Resource, Version
from fhir_b12.server.store import past as history_of
from fhir_b12.server.store.bodies import prepared
from fhir_b12.server.store.changes import Work, add_rows, drop_rows
from fhir_b12.server.store.schema import TABLES, VERSION

_TOGETHER = 256  #: requests that are made durable by one sync
_CHUNK = 500  #: resources that a scan reads at a time
Job = Callable[[sqlite3.Connection], Any]
_Told = tuple[Any, BaseException | None]  #: what a job gave, or why it failed
_Answer = SimpleQueue[_Told]  #: of one


def opened(config: Config) -> "Sqlite":
    """The store of a file, made if there is none.

    Raises:
        ConfigError: it cannot be opened, is no database of ours, or one of a newer version.

    """
    return Sqlite(Path(config.database), config)


def restore(copy: Path, path: Path) -> None:
    """Put a copy in the place of a database that is not there yet."""
    try:
        with _connected(copy, read_only=True) as connection:
            _version_of(connection, copy)
            if next(connection.execute("PRAGMA integrity_check"))[0] != "ok":
                raise ConfigError(f"{copy} is damaged; take another copy")
    except sqlite3.Error as error:
        raise ConfigError(f"{copy} is no copy of a database: {error}") from error
    part = path.with_name(f"{path.name}.part")
    shutil.copyfile(copy, part)
    part.replace(path)


@contextmanager
def _connected(path: Path, *, read_only: bool) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise ConfigError(f"{path} is not there")
    mode = "?mode=ro" if read_only else ""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}{mode}", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Of the tables in a file; ConfigError where they are not ours."""
    found = int(next(connection.execute("PRAGMA user_version"))[0])
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    if found > VERSION:
        raise ConfigError(f"{path} was written by a newer version of fhir-b12; use that one")
    if names and (found == 0 or "resource" not in names):
        raise ConfigError(f"{path} is a database of something else; name another file")
    return found


class Sqlite:
    """A store in one file."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path, self._config = path, config
        self._own = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._jobs: SimpleQueue[tuple[Job, _Answer] | None] = SimpleQueue()
        try:
            if path.is_file() and path.stat().st_size:  # what is not ours is not even opened
                with _connected(path, read_only=True) as connection:
                    _version_of(connection, path)
            self._writer = self._connect()
            if _version_of(self._writer, path) == 0:
                self._make()
        except sqlite3.Error as error:
            raise ConfigError(f"{path} cannot be opened as a SQLite database: {error}") from error
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL",
                       "cache_size = -32768", "temp_store = MEMORY"):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _make(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version = {VERSION}")
        self._writer.execute("COMMIT")

    # --- writing

    def _do(self, job: Job) -> Any:
        """What a job gives, once it is durable."""
        answer: _Answer = SimpleQueue()
        self._jobs.put((job, answer))
        value, failure = answer.get()
        if failure is not None:
            raise failure
        return value

    def _write(self) -> None:
        while (first := self._jobs.get()) is not None:
            batch = [first]
            while len(batch) < _TOGETHER and not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    self._jobs.put(None)
                    break
                batch.append(following)
            self._together(batch)

    def _together(self, batch: Sequence[tuple[Job, _Answer]]) -> None:
        """Several jobs, made durable at once; one that fails leaves the others."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            told = [self._one(job) for job, _ in batch]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            told = [(None, _unwritten(error)) for _ in batch]
        for (_, answer), each in zip(batch, told, strict=True):
            answer.put(each)

    def _one(self, job: Job) -> _Told:
        self._writer.execute("SAVEPOINT one")
        try:
            value = job(self._writer)
        except sqlite3.OperationalError:
            raise  # a full disk, an I/O error: nothing of the batch can be trusted
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked for the job
            self._writer.execute("ROLLBACK TO one")
            self._writer.execute("RELEASE one")
            return None, error
        self._writer.execute("RELEASE one")
        return value, None

    def apply(
        self,
        changes: Sequence[Change],
        access: Access,
        *,
        now: int,
        check: Callable[[Resource], None] | None = None,
        audit: Callable[[Sequence[Done]], list[Resource]] | None = None,
    ) -> list[Done]:
        """Do all changes or none; see the protocol."""
        work = Work(
            changes, access, now=now, base=self._config.base, integrity=self._config.integrity,
            check=check, audit=audit,
        )  # fmt: skip
        dones: list[Done] = self._do(work.carry_out)
        return dones

    # --- reading

    def _reader(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if found is None:
            found = self._own.connection = self._connect()
            found.execute("PRAGMA query_only = 1")
            with self._lock:
                self._readers.append(found)
        return found

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the database for several statements."""
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def read(self, type: str, id: str, access: Access) -> Version | None:  # noqa: A002
        """The current version; None where it never was or is not visible."""
        limits = access.limits(type, "r")
        if limits is None:
            raise refuse(403, "forbidden", f"{type} may not be read with this token")
        connection, args = self._reader(), (f"{type}/{id}",)
        where = f"SELECT {sql.COLUMNS} FROM resource r WHERE r.name = ?"
        if limits:
            bound, more = sql.holds([each.tests for each in limits], type)
            where, args = f"{where} AND ({bound})", (*args, *more)
        row = connection.execute(where, args).fetchone()
        return None if row is None else sql.version_of(row)

    def vread(
        self,
        type: str,  # noqa: A002
        id: str,  # noqa: A002
        version: int,
        access: Access,
    ) -> Version | None:
        """One version; None as for `read`."""
        return history_of.vread(self._reader(), type, id, version, access, self._config.base)

    def history(
        self,
        type: str,  # noqa: A002
        id: str | None,  # noqa: A002
        *,
        since: int | None,
        at: int | None,
        count: int,
        cursor: str | None,
        access: Access,
    ) -> Page:
        """Versions, the newest first."""
        asked = history_of.Asked(type, id, since, at, count, cursor)
        with self._snapshot() as connection:
            return history_of.history(connection, asked, access, self._config.base)

    def search(self, query: Query, access: Access) -> Page:
        """A page of what matches."""
        with self._snapshot() as connection:
            return sql.run(connection, query, access)

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
                more, given = sql.holds([query.tests for query in each], kind)
                bound, args = f"{bound} AND ({more})", (*args, *given)
            where = (
                f"SELECT {sql.COLUMNS}, r.rid FROM resource r WHERE r.type = ? AND r.rid > ?"
                f" AND r.updated >= ? AND r.body IS NOT NULL AND {bound}"
                f" ORDER BY r.rid LIMIT {_CHUNK}"
            )
            last = 0
            while rows := self._reader().execute(where, (kind, last, since or 0, *args)).fetchall():
                yield from map(sql.version_of, rows)
                last = rows[-1][6]

    # --- what else is kept

    def _rows(self, kind: str) -> list[Resource]:
        where = "SELECT value FROM kept WHERE kind = ? ORDER BY key"
        return [loads(row[0]) for row in self._reader().execute(where, (kind,)).fetchall()]

    def _row(self, kind: str, key: str) -> Resource | None:
        where = "SELECT value FROM kept WHERE kind = ? AND key = ?"
        row = self._reader().execute(where, (kind, key)).fetchone()
        return None if row is None else loads(row[0])

    def _put(self, kind: str, value: Resource) -> None:
        text = msgspec.json.encode(value)
        add = "INSERT OR REPLACE INTO kept (kind, key, until, value) VALUES (?, ?, 0, ?)"
        self._do(lambda connection: connection.execute(add, (kind, value["id"], text)).rowcount)

    def _delete(self, kind: str, key: str) -> bool:
        gone = "DELETE FROM kept WHERE kind = ? AND key = ?"
        return bool(self._do(lambda connection: connection.execute(gone, (kind, key)).rowcount))

    def use_once(self, key: str, until: int) -> bool:
        """True the first time that a key is used; `until` is in seconds since 1970."""

        def job(connection: sqlite3.Connection) -> bool:
            old = "DELETE FROM kept WHERE kind = 'jti' AND until < ?"
            connection.execute(old, (int(time.time()),))
            add = "INSERT OR IGNORE INTO kept (kind, key, until) VALUES ('jti', ?, ?)"
            return connection.execute(add, (key, until)).rowcount == 1

        return bool(self._do(job))

    def put_token(self, key: str, until: int, value: Resource) -> None:
        """Keep what a token allows, until seconds since 1970."""
        text = msgspec.json.encode(value | {"until": until})

        def job(connection: sqlite3.Connection) -> None:
            old = "DELETE FROM kept WHERE kind = 'token' AND until < ?"
            connection.execute(old, (int(time.time()),))
            add = "INSERT INTO kept (kind, key, until, value) VALUES ('token', ?, ?, ?)"
            connection.execute(add, (key, until, text))

        self._do(job)

    def token(self, key: str) -> Resource | None:
        """What a token allows, with `until`; None where there is none."""
        return self._row("token", key)

    def clients(self) -> list[Resource]:
        """Every registered client."""
        return self._rows("client")

    def client(self, id: str) -> Resource | None:  # noqa: A002
        """One registered client."""
        return self._row("client", id)

    def put_client(self, client: Resource) -> None:
        """Register or change a client."""
        self._put("client", client)

    def delete_client(self, id: str) -> bool:  # noqa: A002
        """Forget a client; False where there was none."""
        return self._delete("client", id)

    def put_job(self, job: Resource) -> None:
        """Keep the state of an export."""
        self._put("job", job)

    def job(self, id: str) -> Resource | None:  # noqa: A002
        """The state of one export."""
        return self._row("job", id)

    def jobs(self) -> list[Resource]:
        """The states of all exports."""
        return self._rows("job")

    def delete_job(self, id: str) -> bool:  # noqa: A002
        """Forget an export; False where there was none."""
        return self._delete("job", id)

    # --- upkeep

    def ready(self) -> bool:
        """True where it answers."""
        try:
            return bool(self._reader().execute("SELECT 1").fetchone() and self._thread.is_alive())
        except sqlite3.Error:
            return False

    def reindex(self) -> int:
        """Make the search indexes again; how many resources they are of."""
        done, last = 0, 0
        where = (
            "SELECT rid, name, body FROM resource WHERE rid > ? AND body IS NOT NULL"
            f" ORDER BY rid LIMIT {_CHUNK}"
        )
        while rows := self._reader().execute(where, (last,)).fetchall():
            made = [
                (rid, prepared(loads(body), name.partition("/")[2], self._config.base))
                for rid, name, body in rows
            ]

            def job(connection: sqlite3.Connection, made: Any = made) -> None:
                for rid, each in made:
                    drop_rows(connection, rid)
                    add_rows(connection, rid, each)

            self._do(job)
            done, last = done + len(rows), rows[-1][0]
        return done

    def backup(self, path: Path) -> None:
        """Write a copy while others read and write."""
        target = sqlite3.connect(path)
        try:
            self._reader().backup(target)
        finally:
            target.close()

    def close(self) -> None:
        """End; what was acknowledged is kept."""
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        for connection in (*self._readers, self._writer):
            connection.close()


def _unwritten(error: sqlite3.Error) -> Refusal:
    """Nothing of the request was kept, and it may be sent again."""
    message = "nothing was written, for the disk is full or fails; send it again later"
    if "full" not in str(error) and "I/O" not in str(error):
        message = "nothing was written, for the database is busy; send it again later"
        return refuse(503, "lock-error", message, Retry_After="1")
    return refuse(507, "no-store", message, Retry_After="60")
