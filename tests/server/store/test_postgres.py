"""PostgreSQL only: concurrent writers, lost connections, migrations."""

import sqlite3
import stat
import subprocess
import sys
import threading
import uuid
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.errors import RequestError
from fhir_b12.server.sql.expressions import Bound, Sql
from fhir_b12.server.store import Change, schema
from tests.cli.shell import call
from tests.requirements import skip_missing
from tests.server import temporary
from tests.server.store.test_store import ALL, at, names, patient, post, put, query
from tests.server.temporary import POSTGRES, Temporary

if not POSTGRES:
    skip_missing("PostgreSQL", "see `make test-postgres`")

import psycopg

from fhir_b12.server.store import postgres

CONFIG = Config(public_url="https://fhir.clinic.test")


@pytest.fixture
def store():
    store = Temporary(CONFIG)
    yield store
    store.close()


@pytest.fixture
def url(tmp_path):
    return temporary.database(tmp_path)


def end_connections(store):
    """End every connection of a store; return how many there were."""
    name = store._config.database.rpartition("=")[2]
    activity = "FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        terminate = f"SELECT count(pg_terminate_backend(pid)) {activity}"
        return connection.execute(terminate, (name,)).fetchone()[0]


# --- lost connections


def test_a_connection_lost_between_requests_is_replaced(store):
    store.apply([put("a", patient())], ALL, clock=at(0))
    assert end_connections(store) >= 1
    assert store.read("Patient", "a", ALL).version_id == 1
    assert end_connections(store) >= 1
    assert store.apply([put("b", patient())], ALL, clock=at(0))[0].outcome == "created"
    assert end_connections(store) >= 1
    assert names(store) == ["a", "b"]


def test_a_job_interrupted_by_a_lost_connection_is_repeated_and_stored_once(store):
    outcomes = []

    def audit(results):
        outcomes.append(results[0].outcome)
        if len(outcomes) == 1:
            end_connections(store)
        return [{"resourceType": "AuditEvent"}]

    result = store.apply([post(patient())], ALL, clock=at(0), audit=audit)[0]
    assert (outcomes, names(store)) == (["created", "created"], [result.version.id])


def test_a_connection_lost_during_the_commit_is_503_and_the_job_is_not_repeated(store, monkeypatch):
    def commit_and_lose(connection):
        connection.execute("COMMIT")
        end_connections(store)
        connection.execute("SELECT 1")

    with monkeypatch.context() as patched:
        patched.setattr(postgres, "_commit", commit_and_lose)
        with pytest.raises(RequestError, match="not known") as refused:
            store.apply([post(patient())], ALL, clock=at(0))
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    assert len(names(store)) == 1


def test_a_transaction_that_failed_before_its_commit_is_503(store):
    def swallow(connection):
        with pytest.raises(psycopg.Error):
            connection.raw.execute("SELECT 1 / 0")

    with pytest.raises(RequestError) as refused:
        store._do(swallow)
    assert refused.value.status == 503


def test_a_read_only_database_is_503(store):
    def write(connection):
        connection.raw.execute("SET TRANSACTION READ ONLY")
        connection.raw.execute("DELETE FROM kept")

    with pytest.raises(RequestError) as refused:
        store._do(write)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")


def test_a_request_without_a_free_connection_is_503(store, monkeypatch):
    pool = store._pool
    taken = [pool.getconn() for _ in range(pool.max_size)]
    try:
        with monkeypatch.context() as patched:
            patched.setattr(pool, "timeout", 0.05)
            with pytest.raises(RequestError) as refused:
                store.read("Patient", "a", ALL)
            assert (refused.value.status, store.ready()) == (503, False)
    finally:
        for connection in taken:
            pool.putconn(connection)
    assert (store.read("Patient", "a", ALL), store.ready()) == (None, True)


# --- concurrent writers


def run_concurrently(*jobs):
    """Run each job in its own thread; return their results, or the status of a refusal."""
    results = [None] * len(jobs)

    def run(index):
        try:
            results[index] = jobs[index]()
        except RequestError as error:
            results[index] = error.status

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@contextmanager
def stores(url, count):
    """Yield stores of one database, as several processes have them."""
    opened = [
        postgres.PostgresStore(Config(database=url, public_url=CONFIG.public_url))
        for _ in range(count)
    ]
    for store in opened:
        temporary.wait_for_connections(store)
    yield opened
    for store in opened:
        store.close()


def test_two_transactions_on_the_same_resources_do_not_deadlock(url):
    with stores(url, 2) as (one, other):
        one.apply([put("a", patient()), put("b", patient())], ALL, clock=at(0))

        def write(store, order, number):
            changes = [put(name, patient(multipleBirthInteger=number)) for name in order]
            return len(store.apply(changes, ALL, clock=at(0)))

        jobs = [
            lambda store=store, order=order, number=number: write(store, order, number)
            for number in range(40)
            for store, order in ((one, "ab"), (other, "ba"))
        ]
        assert run_concurrently(*jobs) == [2] * 80
        matches = one.search(query("_count=9"), ALL).matches
        numbers = [version.body.rpartition(b",")[2] for version in matches]
        assert numbers[0] == numbers[1]  # both of the same transaction


def test_conditional_creates_of_several_processes_create_one_resource(url):
    with stores(url, 3) as opened:
        condition = query("identifier=urn:mrn|1")
        known = patient(identifier=[{"system": "urn:mrn", "value": "1"}])
        jobs = [
            lambda store=store: (
                store.apply([post(known, criteria=condition)], ALL, clock=at(0))[0].outcome
            )
            for store in opened * 8
        ]
        assert sorted(run_concurrently(*jobs)) == ["created"] + ["matched"] * 23


def test_a_key_can_be_used_once_by_several_processes(url):
    with stores(url, 3) as opened:
        jobs = [lambda store=store: store.use_once("one", 2**40) for store in opened * 8]
        assert sorted(run_concurrently(*jobs)) == [False] * 23 + [True]


def test_a_resource_is_not_deleted_while_another_process_refers_to_it(url):
    config = Config(database=url, public_url=CONFIG.public_url, integrity=True)
    one, other = postgres.PostgresStore(config), postgres.PostgresStore(config)
    for number in range(30):
        name = f"p{number}"
        one.apply([put(name, patient())], ALL, clock=at(0))
        result = {"resourceType": "Observation", "subject": {"reference": f"Patient/{name}"}}
        referred, deleted = run_concurrently(
            lambda result=result: one.apply([post(result)], ALL, clock=at(0))[0].outcome,
            lambda name=name: other.apply([Change(method="DELETE", type="Patient", id=name)], ALL, clock=at(0))[0].outcome,
        )  # fmt: skip
        assert (referred, deleted) in {("created", 409), (409, "deleted")}
    one.close()
    other.close()


def test_a_transaction_of_many_resources_locks_all_names(url):
    with stores(url, 2) as (one, other):
        many = [put(f"p{index}", patient()) for index in range(postgres._MOST_LOCKS + 1)]
        jobs = [
            lambda store=store: len(store.apply(many, ALL, clock=at(0))) for store in (one, other)
        ]
        few = lambda: len(one.apply([put("p7", patient())], ALL, clock=at(0)))  # noqa: E731
        assert run_concurrently(*jobs, few) == [len(many), len(many), 1]
        assert one.read("Patient", "p7", ALL).version_id == 1


# --- tables and backups


def test_several_processes_can_start_on_an_empty_database(url):
    program = (
        "import sys; from fhir_b12.server.config import Config;"
        "from fhir_b12.server.store.postgres import open_store;"
        "open_store(Config(database=sys.argv[1])).close()"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4


def test_the_tables_have_the_columns_of_a_sqlite_file(store):
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in schema.TABLES:
            connection.execute(statement)
        for table in ("resource", "past", "text_index", "range_index", "kept"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = store._rows(
                Sql(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = ",
                    Bound(table),
                    " AND table_schema = current_schema() ORDER BY ordinal_position",
                )
            )
            assert [row[0] for row in rows] == columns


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "a newer version of fhir-b12"),
        ("DROP TABLE alembic_version", "of another program"),
    ],
)
def test_a_database_of_another_program_or_version_is_refused(url, statement, message):
    postgres.open_store(Config(database=url)).close()
    with psycopg.connect(url) as connection:
        connection.execute(statement)
    with pytest.raises(ConfigError, match=message):
        postgres.open_store(Config(database=url))


@pytest.fixture
def databases():
    """Yield the urls of two databases: a backup is of a database, not of a schema."""
    created = [f"d{uuid.uuid4().hex}" for _ in range(2)]
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        for name in created:
            connection.execute(f"CREATE DATABASE {name}")
        yield [urlsplit(POSTGRES)._replace(path=name).geturl() for name in created]
        for name in created:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_is_backed_up_and_restored(tmp_path, databases):
    one, other = databases
    store = postgres.open_store(Config(database=one))
    store.apply([put("a", patient())], ALL, clock=at(0))
    store.close()
    copy = str(tmp_path / "copy")
    code, _, err = call("backup", copy, "--database", one)
    assert (code, err.startswith(f"{copy}: ")) == (0, True)
    assert stat.S_IMODE(Path(copy).stat().st_mode) == 0o600
    assert call("restore", copy, "--database", one)[0] == 2  # not empty
    assert call("restore", copy, "--database", other) == (0, "", f"database restored from {copy}\n")
    assert call("reindex", "--database", other) == (0, "", "1 resources indexed\n")


@pytest.mark.parametrize("cursor", ["WyJhIiwgMV0", "WzEuNSwgIngiXQ", "W251bGwsIG51bGxd"])
def test_a_manipulated_cursor_is_400(store, cursor):
    store.apply([put("a", patient(birthDate="1990-01-01"))], ALL, clock=at(0))
    with pytest.raises(RequestError) as refused:
        store.search(query(f"_sort=birthdate&_page={cursor}"), ALL)
    assert refused.value.status == 400
