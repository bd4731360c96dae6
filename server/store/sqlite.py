"""The embedded store: a SQLite file.  https://www.sqlite.org/wal.html

One thread writes. What waits for it is written together and made durable by one sync, each request
in a savepoint of its own; an answer is given after the sync. Each thread that reads has a
connection of its own and is never waited for.
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
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.search import sql
from fhir_b12.server.store.schema import TABLES, VERSION
from fhir_b12.server.store.sql_store import Relational, T
from fhir_b12.server.store.transaction import Connection

_TOGETHER = 256  #: requests that are made durable by one sync
Job = Callable[[Any], Any]
_Told = tuple[Any, BaseException | None]  #: what a job gave, or why it failed
_Answer = SimpleQueue[_Told]  #: of one


class _Connection(sqlite3.Connection):
    """One of a thread that reads, or the one that writes."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.busy = threading.Lock()  #: closing one that is being asked ends the process

    def hold(self, names: Iterable[str], *, shared: bool = False) -> bool:  # noqa: ARG002
        """False: nobody else writes."""
        return False


def open_store(config: Config) -> "Sqlite":
    """The store of a file, made if there is none.

    Raises:
        ConfigError: it cannot be opened, is no database of ours, or one of a newer version.

    """
    return Sqlite(config)


def restore(copy: Path, config: Config) -> None:
    """Put a copy in the place of a database that is not there yet."""
    path = Path(config.database)
    if path.exists():
        raise ConfigError(f"{path} is there already; name another file")
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


class Sqlite(Relational):
    """A store in one file."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        path = self._path = Path(config.database)
        self._own = threading.local()
        self._readers: list[_Connection] = []
        self._lock = threading.Lock()
        self._is_closed = False
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

    def _connect(self) -> _Connection:
        connection: _Connection = sqlite3.connect(
            self._path,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
            factory=_Connection,
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

    def _do(self, job: Callable[[Connection], T]) -> T:
        """What a job that writes gives, once it is durable."""
        answer: _Answer = SimpleQueue()
        with self._lock:
            if self._is_closed:  # nobody would answer it
                raise _stopping()
            self._jobs.put((job, answer))
        value, failure = answer.get()
        if failure is not None:
            raise failure
        found: T = value
        return found

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """A time before which nothing more will be written: writers come one by one."""
        return self._do(lambda _: clock())

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

    # --- reading

    def _reader(self) -> _Connection:
        found: _Connection | None = getattr(self._own, "connection", None)
        if found is None:
            with self._lock:
                if self._is_closed:
                    raise _stopping()
                found = self._own.connection = self._connect()
                found.execute("PRAGMA query_only = 1")
                self._readers.append(found)
        return found

    def _ask(self, job: Callable[[sql.Connection], T], *, snapshot: bool = False) -> T:
        """What a job that reads gives."""
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

    # --- upkeep

    def ready(self) -> bool:
        """True where it answers."""
        try:
            return bool(self._rows("SELECT 1", ())) and self._thread.is_alive()
        except (sqlite3.Error, Refusal):
            return False

    def backup(self, path: Path) -> None:
        """Write a copy while others read and write."""
        target = sqlite3.connect(path)
        try:
            self._ask(lambda connection: connection.backup(target))  # type: ignore[attr-defined]
        finally:
            target.close()

    def close(self) -> None:
        """End; what was acknowledged is kept."""
        with self._lock:
            self._is_closed = True
            self._jobs.put(None)
        self._thread.join()
        for connection in (*self._readers, self._writer):
            with connection.busy:
                connection.close()


def _stopping() -> Refusal:
    """What comes after the end: of an export that outlives its server."""
    return refuse(503, "transient", "the server is stopping; send it again", Retry_After="5")


def _unwritten(error: sqlite3.Error) -> Refusal:
    """Nothing of the request was kept, and it may be sent again."""
    message = "nothing was written, for the disk is full or fails; send it again later"
    if "full" not in str(error) and "I/O" not in str(error):
        message = "nothing was written, for the database is busy; send it again later"
        return refuse(503, "lock-error", message, Retry_After="1")
    return refuse(507, "no-store", message, Retry_After="60")
