"""The PostgreSQL store, for several processes.  https://www.postgresql.org/docs/current/mvcc.html

A writer locks the names of the resources it changes until the commit, so that two writers of one
resource run one after another and all others concurrently. A job whose connection is lost runs
again if it cannot have been committed; otherwise its result is reported as unknown.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, errors
from psycopg_pool import ConnectionPool

from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.errors import RequestError
from fhir_b12.server.sql.expressions import POSTGRESQL, Insert, Sql
from fhir_b12.server.store.connection import ReadConnection, WriteConnection
from fhir_b12.server.store.private_files import create_private_file
from fhir_b12.server.store.sql_store import SqlStore, T

_TRIES = 8  #: of a job that conflicts with others, or whose connection is lost
_MOST_LOCKS = 500  #: names locked one by one; more are locked as all names at once
_INSERT_ROWS = 50  #: rows of one INSERT, one round trip
_ALL_NAMES = 0  #: advisory lock that stands for every name
_MIGRATION = 1  #: advisory lock of a migration
_WRITING = 2  #: advisory lock shared by all writers
_SESSION = (
    "SET synchronous_commit = on; SET lock_timeout = '10s';"
    " SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on"
)
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_LOCK = "SELECT pg_advisory_xact_lock(n) FROM unnest(%s::bigint[]) n"
_LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(n) FROM unnest(%s::bigint[]) n"
_CONFLICTS = (errors.DeadlockDetected, errors.SerializationFailure)


def open_store(config: Config) -> "PostgresStore":
    """Return the store of a database; its tables are created or migrated.

    Raises:
        ConfigError: the database is unreachable, of another program or of a newer version.

    """
    return PostgresStore(config)


def restore(copy: Path, config: Config) -> None:
    """Restore a backup into an empty database.

    Raises:
        ConfigError: the database is not empty, or pg_restore fails.

    """
    with _connected(config.database) as connection:
        if connection.execute("SELECT to_regclass('resource')").fetchone() != (None,):
            raise ConfigError("the database is not empty: name another one")
    _run_program("pg_restore", config.database, "--single-transaction", "--no-owner", str(copy))


class PostgresStore(SqlStore):
    """A store in a PostgreSQL database."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        _migrate(config.database)
        self._pool: ConnectionPool[Any] = ConnectionPool(
            config.database,
            min_size=1,
            max_size=config.threads + 2,  # two exports beside the requests
            kwargs={"autocommit": True},
            configure=lambda connection: _execute(connection, _SESSION),
            open=True,
            timeout=5,
            reconnect_timeout=5,
        )

    # --- jobs and their connections

    def _ask(self, job: Callable[[ReadConnection], T], *, snapshot: bool = False) -> T:
        """Run a job that reads; with `snapshot` all its statements see the same state."""
        return self._retried(job, _SNAPSHOT if snapshot else "")

    def _do(self, job: Callable[[WriteConnection], T]) -> T:
        """Run a job in a transaction and return its result once that is durable."""
        return self._retried(job, f"BEGIN; SELECT pg_advisory_xact_lock_shared({_WRITING})")

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """Return a time before which no further versions will be committed.

        The lock waits for all transactions that write.
        """
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({_WRITING})"
        return self._retried(lambda _: clock(), begin)

    def _retried(self, job: Callable[[Any], T], begin: str) -> T:
        for remaining in reversed(range(_TRIES)):
            try:
                return self._run_job(job, begin)
            except _CONFLICTS as error:
                if not remaining:
                    raise _busy() from error
            except psycopg.DataError as error:
                message = "a value cannot be compared with stored values"
                raise RequestError(400, "value", message) from error
            except _ConnectionLostError as error:
                # after a restart of the database every pooled connection is lost
                if not remaining or error.is_unknown:
                    raise _unavailable(is_unknown=error.is_unknown) from error
                with suppress(psycopg.Error):
                    self._pool.check()
            except errors.DiskFull as error:
                message = "nothing was stored, the disk is full: try again later"
                raise RequestError(
                    507, "no-store", message, headers={"Retry-After": "60"}
                ) from error
            except (psycopg.OperationalError, errors.ReadOnlySqlTransaction) as error:
                raise _busy() from error  # read only: the database has become a standby
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _run_job(self, job: Callable[[Any], T], begin: str) -> T:
        connection = self._pool.getconn()
        is_committing = False
        try:
            if begin:
                connection.execute(begin)
            value = job(PostgresConnection(connection))
            if begin:
                is_committing = begin != _SNAPSHOT
                _commit(connection)
        except BaseException as error:
            if connection.broken or connection.closed:
                raise _ConnectionLostError(is_unknown=is_committing) from error
            if begin:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
            raise
        else:
            return value
        finally:
            self._pool.putconn(connection)

    # --- administration

    def ready(self) -> bool:
        """Return True if the database answers."""
        try:
            return self._answers()
        except RequestError:
            return False

    def backup(self, path: Path) -> None:
        """Write a copy of the database to a new file by pg_dump while requests are served."""
        create_private_file(path)
        _run_program("pg_dump", self._config.database, "--format=custom", f"--file={path}")

    def close(self) -> None:
        """Close the store; acknowledged changes are durable."""
        self._pool.close()


class _ConnectionLostError(Exception):
    """The connection was lost during a job."""

    def __init__(self, *, is_unknown: bool) -> None:
        super().__init__()
        self.is_unknown = is_unknown  #: lost during the commit, whose result is unknown


class PostgresConnection:
    """A connection during one job, with the names that its transaction has locked."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self.raw = connection  #: for statements that are not `Sql`
        self._locked: set[str] = set()
        self._has_all = False

    def run(self, statement: Sql, args: Sequence[Any] = ()) -> Any:
        """Run a statement and return its rows; `args` are the values of a template."""
        text, values = statement.render(POSTGRESQL)
        return self.raw.execute(text, values or args, binary=True)

    def run_many(self, statement: Insert, rows: Sequence[Sequence[Any]]) -> None:
        """Run an INSERT for many rows of values, several rows in one round trip."""
        for start in range(0, len(rows), _INSERT_ROWS):
            part = rows[start : start + _INSERT_ROWS]
            text, _ = statement.of_rows(len(part)).render(POSTGRESQL)
            self.raw.execute(text, [value for row in part for value in row])

    def lock(self, names: Iterable[str], *, shared: bool = False) -> bool:
        """Lock names until the end of the transaction; False if all were locked already."""
        new = set(names) - self._locked
        if self._has_all or not new:
            return False
        if len(new) > _MOST_LOCKS:
            self._acquire([_ALL_NAMES], shared=False)
            self._has_all = True
            return True
        if not self._locked:
            self._acquire([_ALL_NAMES], shared=True)
        self._locked |= new
        # in one order, so that two transactions with several locks do not deadlock
        self._acquire(sorted(map(_lock_number, new)), shared=shared)
        return True

    def _acquire(self, numbers: list[int], *, shared: bool) -> None:
        self.raw.execute(_LOCK_SHARED if shared else _LOCK, (numbers,))


def _lock_number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _execute(connection: "psycopg.Connection[Any]", text: Any) -> None:
    connection.execute(text)


def _commit(connection: "psycopg.Connection[Any]") -> None:
    """Commit; PostgreSQL answers the COMMIT of a failed transaction by ROLLBACK, without an error.

    Raises:
        OperationalError: the transaction had failed.

    """
    if connection.execute("COMMIT").statusmessage != "COMMIT":
        raise psycopg.OperationalError("the transaction had failed")


def _busy() -> RequestError:
    message = "nothing was stored, the database is busy or unreachable: try again later"
    return RequestError(503, "lock-error", message, headers={"Retry-After": "1"})


def _unavailable(*, is_unknown: bool) -> RequestError:
    message = "the database is unreachable: try again later"
    if is_unknown:
        message = (
            "the database connection was lost during the commit, and whether the change is stored"
            " is not known: read the resource before sending the change again"
        )
    return RequestError(503, "transient", message, headers={"Retry-After": "5"})


# --- tables


_FOLDER = Path(__file__).with_name("migrations")
_REVISIONS = sorted(path.name.partition("_")[0] for path in _FOLDER.glob("versions/[0-9]*.py"))


def _migrate(url: str) -> None:
    """Create the tables of a database or migrate them; one process at a time.

    Raises:
        ConfigError: the tables are of a newer version, or cannot be created.

    """
    with _connected(url) as connection:
        revision = _revision(connection)
    if revision == _REVISIONS[-1]:
        return
    if revision is not None and revision not in _REVISIONS:
        message = "the database was written by a newer version of fhir-b12: use that version"
        raise ConfigError(message)
    # imported late: most starts need no migration
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config as AlembicConfig  # noqa: PLC0415
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    settings = AlembicConfig()
    settings.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    try:
        with engine.begin() as transaction:
            transaction.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION})")
            settings.attributes["connection"] = transaction
            command.upgrade(settings, "head")
    except SQLAlchemyError as error:
        raise ConfigError(f"the tables cannot be created: {error}") from error
    finally:
        engine.dispose()


def _revision(connection: "psycopg.Connection[Any]") -> str | None:
    """Return the revision of the tables, None if there are none.

    Raises:
        ConfigError: the tables are of another program.

    """
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        if connection.execute("SELECT to_regclass('resource')").fetchone() != (None,):
            raise ConfigError("the database is of another program: name another one")
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _connected(url: str) -> "Iterator[psycopg.Connection[Any]]":
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            yield connection
    except psycopg.Error as error:
        raise ConfigError(f"the database cannot be used: {error}") from error


def _run_program(program: str, url: str, *options: str) -> None:
    """Run a program of PostgreSQL; the password is not visible in the list of processes.

    Raises:
        ConfigError: the program is not installed or fails.

    """
    path = shutil.which(program)
    if path is None:
        raise ConfigError(f"{program} is not installed: install the PostgreSQL client programs")
    parts = conninfo.conninfo_to_dict(url)
    password = parts.pop("password", None)
    environment = dict(os.environ) | ({"PGPASSWORD": str(password)} if password else {})
    target = f"--dbname={conninfo.make_conninfo('', **parts)}"
    completed = subprocess.run(  # noqa: S603 - a program by its full path, no shell
        [path, target, *options], env=environment, capture_output=True, text=True, check=False
    )
    if completed.returncode:
        raise ConfigError(f"{program} failed: {completed.stderr.strip()}")
