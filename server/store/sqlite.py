"""The SQLite store: one file.  https://www.sqlite.org/wal.html

One thread writes. It commits waiting requests together with one sync, each request in a savepoint
of its own, and a request returns after the sync. Every reading thread has its own connection and
never waits for the writer.
"""

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.errors import RequestError
from fhir_b12.server.sql.expressions import SQLITE, Sql
from fhir_b12.server.store.connection import ReadConnection, WriteConnection
from fhir_b12.server.store.private_files import create_private_file
from fhir_b12.server.store.schema import TABLES, VERSION
from fhir_b12.server.store.sql_store import SqlStore, T

_BATCH = 256  #: requests that are committed with one sync
_SCHEME = "sqlite:"
Job = Callable[[Any], Any]
_JobResult = tuple[Any, BaseException | None]  #: what a job returned, or the exception it raised
_ResultQueue = SimpleQueue[_JobResult]  #: of one result


class SqliteConnection(sqlite3.Connection):
    """The connection of the writer, or of one reading thread."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.busy = threading.Lock()  #: closing a connection in use crashes the process

    def run(self, statement: Sql, args: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement and return its rows; `args` are the values of a template."""
        text, values = statement.render(SQLITE)
        return self.execute(text, values or args)

    def run_many(self, statement: Sql, rows: Sequence[Sequence[Any]]) -> None:
        """Run an INSERT for many rows of values."""
        self.executemany(statement.render(SQLITE)[0], rows)

    def lock(self, names: Iterable[str], *, shared: bool = False) -> bool:  # noqa: ARG002
        """Return False: there is only one writer."""
        return False


def open_store(config: Config) -> "SqliteStore":
    """Return the store of a file, which is created if missing.

    Raises:
        ConfigError: the file cannot be opened, is of another program or of a newer version.

    """
    return SqliteStore(config)


def database_path(database: str) -> Path:
    """Return the file of a setting: a path, `sqlite:///relative` or `sqlite:////absolute`.

    Raises:
        ConfigError: the url has a host, no path, or another scheme.

    """
    if database.startswith(_SCHEME):
        path = database.removeprefix(f"{_SCHEME}///")
        if path in {database, ""}:
            message = f"{database}: write sqlite:///relative/path or sqlite:////absolute/path"
            raise ConfigError(message)
        return Path(path)
    scheme, separator, _ = database.partition("://")
    if separator:
        message = f"unknown database scheme {scheme}: write a path or sqlite:///, postgresql://"
        raise ConfigError(f"{message}, http:// or https:// with the location")
    return Path(database)


def restore(copy: Path, config: Config) -> None:
    """Create a database from a backup.

    Raises:
        ConfigError: the database exists, or the backup is damaged.

    """
    path = database_path(config.database)
    if path.exists():
        raise ConfigError(f"{path} exists already: name another file")
    try:
        with _connected(copy, read_only=True) as connection:
            _version_of(connection, copy)
            if next(connection.execute("PRAGMA integrity_check"))[0] != "ok":
                raise ConfigError(f"{copy} is damaged: use another backup")
    except sqlite3.Error as error:
        raise ConfigError(f"{copy} is not a backup of a database: {error}") from error
    part = path.with_name(f"{path.name}.part")
    create_private_file(part)
    shutil.copyfile(copy, part)
    part.replace(path)


@contextmanager
def _connected(path: Path, *, read_only: bool) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise ConfigError(f"{path} does not exist")
    mode = "?mode=ro" if read_only else ""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}{mode}", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of the tables, 0 if there are none.

    Raises:
        ConfigError: the tables are of another program or of a newer version.

    """
    version = int(next(connection.execute("PRAGMA user_version"))[0])
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    if version > VERSION:
        raise ConfigError(f"{path} was written by a newer version of fhir-b12: use that version")
    if names and (version == 0 or "resource" not in names):
        raise ConfigError(f"{path} is a database of another program: name another file")
    return version


class SqliteStore(SqlStore):
    """A store in one SQLite file."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        path = self._path = database_path(config.database)
        self._thread_local = threading.local()
        self._readers: list[SqliteConnection] = []
        self._lock = threading.Lock()
        self._is_closed = False
        self._jobs: SimpleQueue[tuple[Job, _ResultQueue] | None] = SimpleQueue()
        try:
            if path.is_file() and path.stat().st_size:  # before anything is written to it
                with _connected(path, read_only=True) as connection:
                    _version_of(connection, path)
            elif not path.exists():
                create_private_file(path, exclusive=True)
            self._writer = self._connect()
            if _version_of(self._writer, path) == 0:
                self._create_tables()
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{path} cannot be opened as a SQLite database: {error}") from error
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        self._thread.start()

    def _connect(self) -> SqliteConnection:
        connection: SqliteConnection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=SqliteConnection,
        )
        for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL",
                       "cache_size = -32768", "temp_store = MEMORY"):  # fmt: skip
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _create_tables(self) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        for statement in TABLES:
            self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version = {VERSION}")
        self._writer.execute("COMMIT")

    # --- writing

    def _do(self, job: Callable[[WriteConnection], T]) -> T:
        """Run a job in the writer thread and return its result once that is durable."""
        result: _ResultQueue = SimpleQueue()
        with self._lock:
            if self._is_closed:  # the writer thread has ended
                raise _stopping()
            self._jobs.put((job, result))
        value, failure = result.get()
        if failure is not None:
            raise failure
        returned: T = value
        return returned

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """Return a time before which no further versions will be committed."""
        return self._do(lambda _: clock())  # writers run one after another

    def _write(self) -> None:
        """Commit batches of jobs until the store is closed."""
        while (first := self._jobs.get()) is not None:
            batch = [first]
            while len(batch) < _BATCH and not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    self._jobs.put(None)
                    break
                batch.append(job)
            self._commit(batch)

    def _commit(self, batch: Sequence[tuple[Job, _ResultQueue]]) -> None:
        """Run several jobs and commit them together; one that fails does not affect the others."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            results = [self._run_job(job) for job, _ in batch]
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            results = [(None, _not_written(error)) for _ in batch]
        for (_, queue), result in zip(batch, results, strict=True):
            queue.put(result)

    def _run_job(self, job: Job) -> _JobResult:
        self._writer.execute("SAVEPOINT one")
        try:
            value = job(self._writer)
        except sqlite3.OperationalError:
            raise  # disk full or I/O error: the whole batch is rolled back
        except Exception as error:  # noqa: BLE001 - raised again in the thread of the request
            self._writer.execute("ROLLBACK TO one")
            self._writer.execute("RELEASE one")
            return None, error
        self._writer.execute("RELEASE one")
        return value, None

    # --- reading

    def _reader(self) -> SqliteConnection:
        """Return the connection of this thread."""
        connection: SqliteConnection | None = getattr(self._thread_local, "connection", None)
        if connection is None:
            with self._lock:
                if self._is_closed:
                    raise _stopping()
                connection = self._thread_local.connection = self._connect()
                connection.execute("PRAGMA query_only = 1")
                self._readers.append(connection)
        return connection

    def _ask(self, job: Callable[[ReadConnection], T], *, snapshot: bool = False) -> T:
        """Run a job that reads; with `snapshot` all its statements see the same state."""
        connection = self._reader()
        with connection.busy:
            if self._is_closed:
                raise _stopping()
            if not snapshot:
                return job(connection)
            connection.execute("BEGIN")
            try:
                return job(connection)
            finally:
                connection.execute("COMMIT")

    # --- administration

    def ready(self) -> bool:
        """Return True if the database answers and the writer runs."""
        try:
            return self._answers() and self._thread.is_alive()
        except (sqlite3.Error, RequestError):
            return False

    def backup(self, path: Path) -> None:
        """Write a copy of the database to a new file while requests are served."""
        create_private_file(path)
        target = sqlite3.connect(path)
        try:
            self._ask(lambda connection: connection.backup(target))  # type: ignore[attr-defined]
        finally:
            target.close()

    def close(self) -> None:
        """Close the store; acknowledged changes are durable."""
        with self._lock:
            self._is_closed = True
            self._jobs.put(None)
        self._thread.join()
        for connection in (*self._readers, self._writer):
            with connection.busy:
                connection.close()


def _stopping() -> RequestError:
    """Return the refusal after the store was closed, for an export that outlives its server."""
    return RequestError(
        503, "transient", "the server is stopping: try again later", headers={"Retry-After": "5"}
    )


def _not_written(error: sqlite3.Error) -> RequestError:
    """Return the refusal of a request that was rolled back and may be sent again."""
    if "full" not in str(error) and "I/O" not in str(error):
        message = "nothing was stored, the database is busy: try again later"
        return RequestError(503, "lock-error", message, headers={"Retry-After": "1"})
    message = "nothing was stored, the disk is full or failing: try again later"
    return RequestError(507, "no-store", message, headers={"Retry-After": "60"})
