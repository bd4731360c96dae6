"""The store for several processes: PostgreSQL.  https://www.postgresql.org/docs/current/mvcc.html

Who writes holds the names of what is written until the commit, so that two writers of one resource
follow each other and all others go on. What a lost connection interrupts is done again where it
cannot have been kept, and else told as unknown.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, errors
from psycopg_pool import ConnectionPool

from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.search import sql
from fhir_b12.server.store.sql_store import Relational, T
from fhir_b12.server.store.transaction import Connection

_TRIES = 8  #: of a job that others stand in the way of, or whose connection is lost
_MOST_HELD = 500  #: names that are held one by one; more are held as all at once
_ROWS = 50  #: of one INSERT: a round trip for many
_ALL = 0  #: the lock that stands for every name
_MIGRATING = 1
_WRITING = 2  #: shared by all who write
_EACH = (
    "SET synchronous_commit = on; SET lock_timeout = '10s';"
    " SET idle_in_transaction_session_timeout = '60s'; SET standard_conforming_strings = on"
)
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)


def open_store(config: Config) -> "Postgres":
    """The store in a database; its tables are made, or brought to this version.

    Raises:
        ConfigError: it cannot be reached, is used by something else, or by a newer version.

    """
    return Postgres(config)


def restore(copy: Path, config: Config) -> None:
    """Put a copy into a database that is still empty."""
    with _reached(config.database) as connection:
        if connection.execute("SELECT to_regclass('resource')").fetchone() != (None,):
            raise ConfigError("the database is not empty; name another one")
    _run("pg_restore", config.database, "--single-transaction", "--no-owner", str(copy))


class Postgres(Relational):
    """A store in a PostgreSQL database."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        _migrate(config.database)
        self._pool: ConnectionPool[Any] = ConnectionPool(
            config.database,
            min_size=1,
            max_size=config.threads + 2,  # two exports beside the requests
            kwargs={"autocommit": True},
            configure=lambda connection: _executed(connection, _EACH),
            open=True,
            timeout=5,
            reconnect_timeout=5,
        )

    # --- a job and its connection

    def _ask(self, job: Callable[[sql.Connection], T], *, snapshot: bool = False) -> T:
        """What a job that reads gives."""
        return self._done(job, _SNAPSHOT if snapshot else "")

    def _do(self, job: Callable[[Connection], T]) -> T:
        """What a job that writes gives, once it is durable."""
        return self._done(job, f"BEGIN; SELECT pg_advisory_xact_lock_shared({_WRITING})")

    def commit_horizon(self, clock: Callable[[], int]) -> int:
        """A time before which nothing more will be written: those who write now have ended."""
        begin = f"BEGIN; SELECT pg_advisory_xact_lock({_WRITING})"
        return self._done(lambda _: clock(), begin)

    def _done(self, job: Callable[[Any], T], begin: str) -> T:
        for left in reversed(range(_TRIES)):
            try:
                return self._tried(job, begin)
            except _AGAIN as error:
                if not left:
                    raise _busy() from error
            except psycopg.DataError as error:
                raise refuse(
                    400, "value", "a value cannot be compared with what is kept"
                ) from error
            except _Lost as error:
                # after a restart of the database each waiting connection is lost
                if not left or error.is_unknown:
                    raise _lost(is_unknown=error.is_unknown) from error
                with suppress(psycopg.Error):
                    self._pool.check()
            except errors.DiskFull as error:
                message = "nothing was written, for the disk is full; send it again later"
                raise refuse(507, "no-store", message, Retry_After="60") from error
            except (psycopg.OperationalError, errors.ReadOnlySqlTransaction) as error:
                raise _busy() from error  # read only: it has become a standby of another
        raise AssertionError  # pragma: no cover - the last try returns or raises

    def _tried(self, job: Callable[[Any], T], begin: str) -> T:
        connection = self._pool.getconn()
        is_ending = False
        try:
            if begin:
                connection.execute(begin)
            value = job(_Held(connection))
            if begin:
                is_ending = begin != _SNAPSHOT
                _ended(connection)
        except BaseException as error:
            if connection.broken or connection.closed:
                raise _Lost(is_unknown=is_ending) from error
            if begin:
                with suppress(psycopg.Error):
                    connection.execute("ROLLBACK")
            raise
        else:
            return value
        finally:
            self._pool.putconn(connection)

    # --- upkeep

    def ready(self) -> bool:
        """True where it answers."""
        try:
            return bool(self._rows("SELECT 1", ()))
        except Refusal:
            return False

    def backup(self, path: Path) -> None:
        """Write a copy while others read and write, by pg_dump."""
        _run("pg_dump", self._config.database, "--format=custom", f"--file={path}")

    def close(self) -> None:
        """End; what was acknowledged is kept."""
        self._pool.close()


class _Lost(Exception):  # noqa: N818 - what it means is decided by who catches it
    """The connection is gone."""

    def __init__(self, *, is_unknown: bool) -> None:
        super().__init__()
        self.is_unknown = is_unknown  #: it went while the commit was under way


class _Held:
    """A connection that takes `?` for values, and holds names until its transaction ends."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self._names: set[str] = set()
        self._is_all = False

    def execute(self, text: str, args: Sequence[Any] = ()) -> Any:
        """The rows."""
        return self._connection.execute(_percent(text), args, binary=True)

    def executemany(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for many rows of values."""
        head, _, values = text.partition("VALUES ")
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            marks = ", ".join([values] * len(part))
            args = [value for row in part for value in row]
            self._connection.execute(_percent(f"{head}VALUES {marks}"), args)

    def hold(self, names: Iterable[str], *, shared: bool = False) -> bool:
        """Wait for who writes these names, and let nobody else; False if they are held already."""
        fresh = set(names) - self._names
        if self._is_all or not fresh:
            return False
        if len(fresh) > _MOST_HELD:
            self._lock([_ALL], shared=False)
            self._is_all = True
            return True
        if not self._names:
            self._lock([_ALL], shared=True)
        self._names |= fresh
        # all in one order: of two that hold several none waits for the other for ever
        self._lock(sorted(map(_number, fresh)), shared=shared)
        return True

    def _lock(self, numbers: list[int], *, shared: bool) -> None:
        how = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
        self._connection.execute(f"SELECT {how}(n) FROM unnest(%s::bigint[]) n", (numbers,))


@lru_cache(maxsize=1024)
def _percent(text: str) -> Any:
    return text.replace("?", "%s")


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _executed(connection: "psycopg.Connection[Any]", text: Any) -> None:
    connection.execute(text)


def _ended(connection: "psycopg.Connection[Any]") -> None:
    """Commit; a transaction that failed in between says ROLLBACK to it, and nothing else."""
    if connection.execute("COMMIT").statusmessage != "COMMIT":
        raise psycopg.OperationalError("the transaction had failed")


def _busy() -> Refusal:
    message = (
        "nothing was written, for the database is busy or does not answer; send it again later"
    )
    return refuse(503, "lock-error", message, Retry_After="1")


def _lost(*, is_unknown: bool) -> Refusal:
    message = "the database does not answer; send it again later"
    if is_unknown:
        message = (
            "the database went away while it kept this, so whether it is kept is not known;"
            " read it before you send it again"
        )
    return refuse(503, "transient", message, Retry_After="5")


# --- tables


_FOLDER = Path(__file__).with_name("migrations")
_STEPS = sorted(path.name.partition("_")[0] for path in _FOLDER.glob("versions/[0-9]*.py"))


def _migrate(url: str) -> None:
    """Bring the tables of a database to this version; one process at a time."""
    with _reached(url) as asked:
        found = _version_of(asked)
    if found == _STEPS[-1]:
        return
    if found is not None and found not in _STEPS:
        raise ConfigError("a newer version of fhir-b12 wrote the database; use that one")
    # most starts need none of this
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config as Steps  # noqa: PLC0415
    from sqlalchemy import create_engine  # noqa: PLC0415
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    steps = Steps()
    steps.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATING})")
            steps.attributes["connection"] = connection
            command.upgrade(steps, "head")
    except SQLAlchemyError as error:
        raise ConfigError(f"the tables cannot be made: {error}") from error
    finally:
        engine.dispose()


def _version_of(connection: "psycopg.Connection[Any]") -> str | None:
    """Of the tables; ConfigError where they are not ours."""
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        if connection.execute("SELECT to_regclass('resource')").fetchone() != (None,):
            raise ConfigError("the database is one of something else; name another one")
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _reached(url: str) -> "Iterator[psycopg.Connection[Any]]":
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            yield connection
    except psycopg.Error as error:
        raise ConfigError(f"the database cannot be used: {error}") from error


def _run(program: str, url: str, *options: str) -> None:
    """A program of PostgreSQL's; the password does not stand where other users see it."""
    path = shutil.which(program)
    if path is None:
        raise ConfigError(f"{program} is not installed; it comes with PostgreSQL")
    parts = conninfo.conninfo_to_dict(url)
    secret = parts.pop("password", None)
    environment = dict(os.environ) | ({"PGPASSWORD": str(secret)} if secret else {})
    target = f"--dbname={conninfo.make_conninfo('', **parts)}"
    done = subprocess.run(  # noqa: S603 - a program by its full path, no shell
        [path, target, *options], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"{program} failed: {done.stderr.strip()}")
