"""What only PostgreSQL does: several writers at a time, connections that are lost, steps of tables."""

import sqlite3
import subprocess
import sys
import threading
import uuid
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest

from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.errors import Refusal
from fhir_b12.server.store import Change, schema
from tests.cli.shell import call
from tests.server import temporary
from tests.server.store.test_store import ALL, at, names, patient, post, put, query
from tests.server.temporary import POSTGRES, Temporary

if not POSTGRES:
    pytest.skip("see `make test-postgres`", allow_module_level=True)

import psycopg

from fhir_b12.server.store import postgres

CONFIG = Config(public_url="https://fhir.clinic.test")


@pytest.fixture
def store():
    found = Temporary(CONFIG)
    yield found
    found.close()


@pytest.fixture
def url(tmp_path):
    return temporary.database(tmp_path)


def end_connections(store):
    """Every connection of a store, without warning; how many."""
    name = store._config.database.rpartition("=")[2]
    which = "FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        asked = connection.execute(f"SELECT count(pg_terminate_backend(pid)) {which}", (name,))
        return asked.fetchone()[0]


# --- connections that are lost


def test_a_connection_that_was_lost_in_between_is_made_again(store):
    store.apply([put("a", patient())], ALL, clock=at(0))
    assert end_connections(store) >= 1
    assert store.read("Patient", "a", ALL).version_id == 1
    assert end_connections(store) >= 1
    assert store.apply([put("b", patient())], ALL, clock=at(0))[0].outcome == "created"
    assert end_connections(store) >= 1
    assert names(store) == ["a", "b"]


def test_what_a_lost_connection_interrupts_is_done_again_and_once(store):
    times = []

    def lost(dones):
        times.append(dones[0].outcome)
        if len(times) == 1:
            end_connections(store)
        return [{"resourceType": "AuditEvent"}]

    done = store.apply([post(patient())], ALL, clock=at(0), audit=lost)[0]
    assert (times, names(store)) == (["created", "created"], [done.version.id])


def test_a_connection_lost_in_the_commit_is_told_as_not_known_and_not_done_again(
    store, monkeypatch
):
    def lost(connection):
        connection.execute("COMMIT")
        end_connections(store)
        connection.execute("SELECT 1")

    with monkeypatch.context() as patched:
        patched.setattr(postgres, "_commit", lost)
        with pytest.raises(Refusal, match="not known") as refused:
            store.apply([post(patient())], ALL, clock=at(0))
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    assert len(names(store)) == 1


def test_a_transaction_that_failed_in_between_is_never_taken_for_kept(store):
    def swallow(connection):
        with pytest.raises(psycopg.Error):
            connection.raw.execute("SELECT 1 / 0")

    with pytest.raises(Refusal) as refused:
        store._do(swallow)
    assert refused.value.status == 503


def test_a_database_that_has_become_a_standby_is_503(store):
    def write(connection):
        connection.raw.execute("SET TRANSACTION READ ONLY")
        connection.raw.execute("DELETE FROM kept")

    with pytest.raises(Refusal) as refused:
        store._do(write)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "1")


def test_a_database_that_is_away_is_503_and_comes_back(store, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(store._pool, "timeout", 0.05)
        held = [store._pool.getconn() for _ in range(store._pool.max_size)]
        with pytest.raises(Refusal) as refused:
            store.read("Patient", "a", ALL)
        assert (refused.value.status, store.ready()) == (503, False)
        for each in held:
            store._pool.putconn(each)
    assert (store.read("Patient", "a", ALL), store.ready()) == (None, True)


# --- several writers


def together(*jobs):
    """Each in a thread of its own; what they give, in order."""
    given = [None] * len(jobs)

    def work(index):
        try:
            given[index] = jobs[index]()
        except Refusal as error:
            given[index] = error.status

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return given


@contextmanager
def stores(url, count):
    """As many processes have them: each with connections of its own."""
    found = [
        postgres.PostgresStore(Config(database=url, public_url=CONFIG.public_url))
        for _ in range(count)
    ]
    yield found
    for each in found:
        each.close()


def test_two_transactions_that_cross_are_both_done(url):
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
        assert together(*jobs) == [2] * 80
        rows = [
            each.body.rpartition(b",")[2] for each in one.search(query("_count=9"), ALL).matches
        ]
        assert rows[0] == rows[1]  # both by the same writer


def test_conditional_creates_of_several_processes_make_one(url):
    with stores(url, 3) as found:
        condition = query("identifier=urn:mrn|1")
        known = patient(identifier=[{"system": "urn:mrn", "value": "1"}])
        jobs = [
            lambda store=store: (
                store.apply([post(known, criteria=condition)], ALL, clock=at(0))[0].outcome
            )
            for store in found * 8
        ]
        assert sorted(together(*jobs)) == ["created"] + ["matched"] * 23


def test_a_key_is_used_once_by_several_processes(url):
    with stores(url, 3) as found:
        jobs = [lambda store=store: store.use_once("one", 2**40) for store in found * 8]
        assert sorted(together(*jobs)) == [False] * 23 + [True]


def test_what_is_referred_to_is_not_deleted_by_another_in_that_moment(url):
    config = Config(database=url, public_url=CONFIG.public_url, integrity=True)
    one, other = postgres.PostgresStore(config), postgres.PostgresStore(config)
    for number in range(30):
        name = f"p{number}"
        one.apply([put(name, patient())], ALL, clock=at(0))
        result = {"resourceType": "Observation", "subject": {"reference": f"Patient/{name}"}}
        referred, deleted = together(
            lambda result=result: one.apply([post(result)], ALL, clock=at(0))[0].outcome,
            lambda name=name: other.apply([Change(method="DELETE", type="Patient", id=name)], ALL, clock=at(0))[0].outcome,
        )  # fmt: skip
        assert (referred, deleted) in {("created", 409), (409, "deleted")}
    one.close()
    other.close()


def test_more_names_than_are_held_one_by_one_are_all_held(url):
    with stores(url, 2) as (one, other):
        many = [put(f"p{index}", patient()) for index in range(postgres._MOST_LOCKS + 1)]
        jobs = [
            lambda store=store: len(store.apply(many, ALL, clock=at(0))) for store in (one, other)
        ]
        few = lambda: len(one.apply([put("p7", patient())], ALL, clock=at(0)))  # noqa: E731
        assert together(*jobs, few) == [len(many), len(many), 1]
        assert one.read("Patient", "p7", ALL).version_id == 1


# --- tables


def test_several_processes_may_start_on_an_empty_database(url):
    program = (
        "import sys; from fhir_b12.server.config import Config;"
        "from fhir_b12.server.store.postgres import opened;"
        "opened(Config(database=sys.argv[1])).close()"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(4)]
    assert [each.wait(60) for each in started] == [0] * 4


def test_the_tables_are_those_of_a_sqlite_file(store):
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in schema.TABLES:
            connection.execute(statement)
        for table in ("resource", "past", "text_index", "range_index", "kept"):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            ours = store._rows(
                "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
                " AND table_schema = current_schema() ORDER BY ordinal_position",
                (table,),
            )
            assert [row[0] for row in ours] == columns


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "a newer version of fhir-b12"),
        ("DROP TABLE alembic_version", "of another program"),
    ],
)
def test_what_is_no_database_of_this_version_is_told(url, statement, said):
    postgres.open_store(Config(database=url)).close()
    with psycopg.connect(url) as connection:
        connection.execute(statement)
    with pytest.raises(ConfigError, match=said):
        postgres.open_store(Config(database=url))


@pytest.fixture
def databases():
    """The urls of two whole databases: a copy is of a database, not of a schema."""
    made = [f"d{uuid.uuid4().hex}" for _ in range(2)]
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        for name in made:
            connection.execute(f"CREATE DATABASE {name}")
        yield [urlsplit(POSTGRES)._replace(path=name).geturl() for name in made]
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_is_copied_and_put_back(tmp_path, databases):
    one, other = databases
    store = postgres.open_store(Config(database=one))
    store.apply([put("a", patient())], ALL, clock=at(0))
    store.close()
    copy = str(tmp_path / "copy")
    code, _, err = call("backup", copy, "--database", one)
    assert (code, err.startswith(f"{copy}: ")) == (0, True)
    assert call("restore", copy, "--database", one)[0] == 2  # not empty
    assert call("restore", copy, "--database", other) == (0, "", f"the database is as {copy} was\n")
    assert call("reindex", "--database", other) == (0, "", "1 resources indexed\n")


@pytest.mark.parametrize("cursor", ["WyJhIiwgMV0", "WzEuNSwgIngiXQ", "W251bGwsIG51bGxd"])
def test_a_cursor_that_was_tampered_with_is_400_and_nothing_worse(store, cursor):
    store.apply([put("a", patient(birthDate="1990-01-01"))], ALL, clock=at(0))
    with pytest.raises(Refusal) as refused:
        store.search(query(f"_sort=birthdate&_page={cursor}"), ALL)
    assert refused.value.status == 400
