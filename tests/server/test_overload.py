"""Too long bodies, a full disk, concurrent writers: refused cleanly, other requests succeed."""

import gzip
import http.client
import resource
import socket
import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_b12.jsonio import dumps, loads
from fhir_b12.server.app import create_app
from fhir_b12.server.store.sqlite import SqliteStore
from tests.server.durability import serve
from tests.server.fhir.conftest import CONFIG, Client, ids_on_page
from tests.server.test_serving import send_request

JSON = {"Content_Type": "application/fhir+json"}
MIB = 1024 * 1024


@contextmanager
def run_process(folder):
    """Run a server in a process; yield the process and its port."""
    process, port = serve(folder / "try.db")
    yield process, port
    process.terminate()
    assert process.wait() == 0


@pytest.fixture(scope="module")
def server_process(tmp_path_factory):
    """A server process that tests share, and its port."""
    with run_process(tmp_path_factory.mktemp("served")) as pair:
        yield pair


@pytest.fixture
def new_server_process(tmp_path):
    with run_process(tmp_path) as pair:
        yield pair


def patient(number, size=0):
    return {"resourceType": "Patient", "id": f"p{number}", "name": [{"text": f"{number}" + "x" * size}]}  # fmt: skip


def put(port, number, size=0, **headers):
    body = dumps(patient(number, size))
    return send_request(port, "PUT", f"/fhir/Patient/p{number}", body, **JSON, **headers)


# --- the disk is full


def is_refused(status, body):
    """Check that a response is 507 with an OperationOutcome."""
    assert status == 507, body
    assert [issue["code"] for issue in loads(body)["issue"]] == ["no-store"]
    return True


def fill(write):
    """Write until the disk is full; return the numbers of the acknowledged writes."""
    acknowledged = []
    for number in range(1000):
        status, body = write(number)
        if status != 201:
            assert is_refused(status, body)
            return acknowledged
        acknowledged.append(number)
    raise AssertionError("the disk is not full after 1000 writes")


def test_a_full_disk_refuses_writes_and_keeps_acknowledged_ones(new_server_process):
    process, port = new_server_process
    limits = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MIB, resource.RLIM_INFINITY))
    acknowledged = fill(lambda number: put(port, number, 20_000))
    assert acknowledged
    pair = [{"resource": patient(n, 20_000), "request": {"method": "PUT", "url": f"Patient/p{n}"}} for n in (2000, 2001)]  # fmt: skip
    for bundle_type, expected in (("transaction", 507), ("batch", 200)):
        bundle = {"resourceType": "Bundle", "type": bundle_type, "entry": pair}
        status, body = send_request(port, "POST", "/fhir", dumps(bundle), **JSON)
        assert status == expected
        if bundle_type == "batch":
            assert [e["response"]["status"][:3] for e in loads(body)["entry"]] == ["507", "507"]
    assert send_request(port, "GET", "/readyz")[0] == 200
    for number in acknowledged:
        assert loads(send_request(port, "GET", f"/fhir/Patient/p{number}")[1])["name"] == patient(number, 20_000)["name"]  # fmt: skip
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
    assert put(port, 3000)[0] == 201
    page = loads(send_request(port, "GET", "/fhir/Patient?_count=1000&_elements=id")[1])
    assert {e["resource"]["id"] for e in page["entry"]} == {f"p{n}" for n in (*acknowledged, 3000)}


def test_a_full_database_refuses_concurrent_writes(tmp_path):
    store = SqliteStore(replace(CONFIG, database=str(tmp_path / "try.db")))
    app = create_app(CONFIG, store)
    store._do(lambda writer: writer.execute("PRAGMA max_page_count = 150").fetchall())

    def write(number):
        response = Client(app).put(f"Patient/p{number}", patient(number, 5000))
        return response.status_code, response.data

    acknowledged, full = [], []

    def writes(first):
        acknowledged.extend(fill(lambda number: write(first + number)))
        full.append(True)

    threads = [threading.Thread(target=writes, args=(first * 1000,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(full), len(ids_on_page(Client(app).get("Patient?_count=1000")))) == (
        4,
        len(acknowledged),
    )
    store._do(lambda writer: writer.execute("PRAGMA max_page_count = 100000").fetchall())
    assert write(9000)[0] == 201
    store.close()
    with sqlite3.connect(tmp_path / "try.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


# --- bodies


def reset_peak_memory(process):
    """Set the peak memory of a process to its present memory.  proc_pid_clear_refs(5)"""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def peak_memory(process):
    """Return the peak memory of a process in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


HEAD = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/fhir+json\r\n"
BOMB = gzip.compress(b" " * 100 * MIB)
BODIES = {
    "of 100 MB, announced": (HEAD + b"Content-Length: 100000000\r\n\r\n", b" " * MIB, 96),
    "of 100 MB, in chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + b" " * MIB + b"\r\n", 100),
    "of 100 MB, packed": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_too_long_body_is_413_and_uses_no_memory(server_process, name):
    process, port = server_process
    put(port, 1)
    reset_peak_memory(process)
    before = peak_memory(process)
    head, part, times = BODIES[name]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sender:
        sender.sendall(head)
        try:
            for _ in range(times):
                sender.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server closes the connection before the end of the body
        else:
            response = http.client.HTTPResponse(sender)
            response.begin()
            assert response.status == 413
    assert put(port, 2)[0] in {200, 201}
    assert peak_memory(process) - before < 50 * MIB


# --- many at once


def run_concurrently(number, job):
    """Run a job in several threads at once; return the results."""
    ready, results = threading.Barrier(number), []

    def run(index):
        ready.wait()
        results.append(job(index))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.slow
def test_a_thousand_concurrent_writes_of_one_resource_create_a_thousand_versions(server_process):
    port = server_process[1]

    def write(index):
        body = dumps(patient(0) | {"name": [{"text": str(index)}]})
        return send_request(port, "PUT", "/fhir/Patient/p0", body, **JSON)

    results = run_concurrently(900, write) + run_concurrently(100, lambda index: write(900 + index))
    assert {status for status, _ in results} <= {200, 201}
    versions = {int(loads(body)["meta"]["versionId"]) for _, body in results}
    assert versions == set(range(1, 1001))


def test_only_one_of_many_concurrent_updates_of_one_version_succeeds(server_process):
    port = server_process[1]
    put(port, 3)
    for version in range(1, 4):
        results = run_concurrently(50, lambda index: put(port, 3, 100 * version + index, If_Match=f'W/"{version}"'))  # fmt: skip  # noqa: B023
        assert Counter(status for status, _ in results) == {200: 1, 412: 49}
