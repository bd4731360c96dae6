"""Several processes on one PostgreSQL behave like one server."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fhir_b12.server.auth.clients import build_client
from fhir_b12.server.config import Config
from fhir_b12.server.open_store import open_store
from tests.requirements import skipif_missing
from tests.server.auth.conftest import JWKS, claims, sign, token_form
from tests.server.durability import kill, serve
from tests.server.temporary import POSTGRES, database
from tests.server.test_serving import HEAD, SMUGGLED, is_outcome, send_raw

pytestmark = [
    pytest.mark.slow,
    skipif_missing(not POSTGRES, "PostgreSQL", "see `make test-postgres`"),
]
PATIENT = {"resourceType": "Patient", "active": True}


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    process, port = serve(database(tmp_path_factory.mktemp("served")), workers=4)
    yield port
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture
def base(port):
    return f"http://127.0.0.1:{port}/fhir"


def run_concurrently(count, job):
    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(job) for _ in range(count)]]


def test_64_concurrent_increments_with_if_match_are_all_applied(base):
    url = f"{base}/Patient/n"
    requests.put(url, json=PATIENT | {"id": "n", "multipleBirthInteger": 0}, timeout=10)

    def increment():
        while True:
            old = requests.get(url, timeout=10)
            changed = old.json() | {"multipleBirthInteger": old.json()["multipleBirthInteger"] + 1}
            headers = {"If-Match": old.headers["ETag"]}
            response = requests.put(url, json=changed, headers=headers, timeout=30)
            if response.status_code == 200:
                return
            assert response.status_code == 412

    run_concurrently(64, increment)
    last = requests.get(url, timeout=10).json()
    assert (last["multipleBirthInteger"], last["meta"]["versionId"]) == (64, "65")


def test_a_write_acknowledged_by_one_process_is_visible_to_all(base):
    for _ in range(40):
        created = requests.post(f"{base}/Patient", json=PATIENT, timeout=10)
        url = created.headers["Location"].partition("/_history")[0]
        assert requests.get(url, timeout=10).json() == created.json()


def test_every_process_reports_and_serves_an_export(base):
    requests.post(f"{base}/Patient", json=PATIENT, timeout=10)
    begun = requests.get(
        f"{base}/$export?_type=Patient", headers={"Prefer": "respond-async"}, timeout=10
    )
    url = begun.headers["Content-Location"]
    while (response := requests.get(url, timeout=10)).status_code == 202:
        time.sleep(0.05)
    (file,) = response.json()["output"]
    for _ in range(20):
        assert requests.get(url, timeout=10).json() == response.json()
        lines = requests.get(file["url"], timeout=10).text.splitlines()
        assert len(lines) == file["count"]
    assert requests.delete(url, timeout=10).status_code == 202
    assert [requests.get(url, timeout=10).status_code for _ in range(8)] == [404] * 8


@pytest.mark.parametrize(
    "lengths",
    [
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"Content-Length: -1\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=range(4),
)
def test_a_request_with_ambiguous_length_smuggles_nothing(port, lengths):
    status, _, more = send_raw(port, b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + lengths + SMUGGLED)
    assert (400 <= status < 500, more) == (True, False)


def test_a_too_long_body_is_413(base):
    headers = {"Content-Type": "application/fhir+json"}
    response = requests.post(f"{base}/Patient", data=b" " * 40_000_000, headers=headers, timeout=30)
    assert (response.status_code, is_outcome(response.content)) == (413, True)


def test_stopping_finishes_requests_in_progress(tmp_path):
    process, port = serve(database(tmp_path), workers=2)
    base, responses = f"http://127.0.0.1:{port}/fhir", []
    entry = [{"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}] * 2000
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
    thread = threading.Thread(
        target=lambda: responses.append(requests.post(base, json=bundle, timeout=60).status_code)
    )
    thread.start()
    time.sleep(0.3)
    process.terminate()
    thread.join()
    assert (responses, process.wait(30)) == ([200], 0)


def test_an_assertion_sent_concurrently_gets_one_token(tmp_path):
    database_url = database(tmp_path)
    store = open_store(Config(database=database_url))
    store.put_client(build_client("reader", "system/*.rs", JWKS, None))
    store.close()
    process, port = serve(database_url, workers=4, is_open=False)
    url = f"http://127.0.0.1:{port}/auth/token"
    form = token_form("reader", assertion=sign(claims("reader", aud=url)))
    statuses = run_concurrently(32, lambda: requests.post(url, data=form, timeout=10).status_code)
    assert sorted(statuses) == [200] + [401] * 31
    kill(process)
