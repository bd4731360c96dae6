"""Responses of an upstream server: slow, malformed or hostile ones."""

import json
import socket
import threading

import pytest
import requests
import responses

from fhir_b12.server.app import create_app
from fhir_b12.server.errors import RequestError
from fhir_b12.server.open_store import open_store
from fhir_b12.server.store import FullAccess
from fhir_b12.server.store.proxy import client as proxy_client
from tests.server.fhir.conftest import CONFIG, PATIENT, Client, ids_on_page, links, status_and_codes

BASE = "https://ehr.test/fhir"
JSON = "application/fhir+json"
META = {"versionId": "1", "lastUpdated": "2026-03-09T09:15:00Z"}
ONE = PATIENT | {"id": "one", "meta": META}
SEARCH = f"{BASE}/Patient"


def bundle(*resources, **more):
    entry = [{"resource": resource, "search": {"mode": "match"}} for resource in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entry} | more


def page_with_next(url):
    return bundle(ONE, link=[{"relation": "next", "url": url}])


@pytest.fixture
def upstream():
    with responses.RequestsMock(assert_all_requests_are_fired=True) as mock:
        yield mock


@pytest.fixture
def sleeps(monkeypatch):
    """Replace sleeping between retries; return the list of the seconds."""
    seconds = []
    monkeypatch.setattr(proxy_client.time, "sleep", seconds.append)
    return seconds


@pytest.fixture
def proxy_of(tmp_path):
    """Return a function that starts a proxy of an upstream URL and returns its client."""
    stores = []

    def start(base=BASE, **settings):
        config = CONFIG.__class__(
            open=True, public_url=CONFIG.public_url, database=base,
            local=str(tmp_path / "own.db"), audit=False, **settings,
        )  # fmt: skip
        stores.append(open_store(config))
        return Client(create_app(config, stores[-1]))

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def client(proxy_of):
    return proxy_of()


def sent_methods(upstream):
    return [call.request.method for call in upstream.calls]


# --- retries


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_read_is_retried(upstream, client, sleeps, status):
    upstream.get(f"{BASE}/Patient/one", status=status, headers={"Retry-After": "1"})
    upstream.get(f"{BASE}/Patient/one", json=ONE, content_type=JSON)
    assert client.get("Patient/one").status_code == 200
    assert sleeps == [1]


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [("120", "120"), ("999999", "3600"), ("soon", "1"), ("Wed, 01 Jan 2020 00:00:00 GMT", "1")],
)
def test_a_long_retry_after_is_passed_on_and_not_waited_for(
    upstream, client, sleeps, retry_after, expected
):
    upstream.get(f"{BASE}/Patient/one", status=503, headers={"Retry-After": retry_after})
    response = client.get("Patient/one")
    assert (status_and_codes(response), response.headers["Retry-After"]) == (
        (503, ["transient"]),
        expected,
    )
    assert sum(sleeps) <= 4


@pytest.mark.parametrize(
    ("arguments", "attempts"),
    [
        (("POST", "Patient", {}), 1),
        (("POST", "Patient", {"If_None_Exist": "identifier=a"}), 3),
        (("PUT", "Patient/one", {}), 3),
        (("PUT", "Patient/one", {"If_Match": 'W/"1"'}), 1),
        (("PUT", "Patient?identifier=a", {}), 3),
    ],
    ids=["create", "create on condition", "update", "update of a version", "update on condition"],
)
@pytest.mark.parametrize(
    "failure",
    [503, requests.ConnectionError("Zebedee"), requests.Timeout("Zebedee")],
    ids=["503", "lost", "late"],
)
@pytest.mark.usefixtures("sleeps")
def test_only_idempotent_requests_are_retried(upstream, client, arguments, attempts, failure):
    method, path, headers = arguments
    options = {"status": failure} if isinstance(failure, int) else {"body": failure}
    upstream.add(method, f"{BASE}/{path.partition('?')[0]}", **options)
    response = client(method, path, PATIENT | {"id": "one"}, **headers)
    assert status_and_codes(response) == (503, ["transient"])
    assert sent_methods(upstream) == [method] * attempts


@pytest.mark.usefixtures("sleeps")
def test_a_transaction_is_not_retried(upstream, client):
    upstream.post(BASE, status=503)
    entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]}
    assert status_and_codes(client.post("", transaction)) == (503, ["transient"])
    assert sent_methods(upstream) == ["POST"]


# --- malformed responses


@pytest.mark.parametrize(
    "options",
    [
        {"body": "<html>Zebedee</html>", "content_type": "text/html"},
        {"body": "<html>Zebedee</html>", "content_type": "text/html", "status": 500},
        {"body": json.dumps(ONE), "content_type": "text/plain"},
        {"body": json.dumps(ONE)[:-9], "content_type": JSON},
        {"body": json.dumps([ONE]), "content_type": JSON},
        {"body": b"\xff", "content_type": JSON},
        {"body": "", "content_type": JSON},
        {"body": "", "status": 304},
        {"json": ONE | {"id": "two"}, "content_type": JSON},
        {"json": ONE | {"resourceType": "Group"}, "content_type": JSON},
        {"json": PATIENT | {"id": "one"}, "content_type": JSON},
        {"json": ONE | {"meta": META | {"versionId": "a1"}}, "content_type": JSON},
        {"json": ONE | {"meta": META | {"versionId": 1}}, "content_type": JSON},
        {"json": ONE | {"meta": META | {"lastUpdated": "today"}}, "content_type": JSON},
        {"body": "", "status": 302, "headers": {"Location": "https://elsewhere.test/Patient/one"}},
        {"body": "", "status": 307, "headers": {"Location": f"{BASE}/Patient/two"}},
        {"body": "", "status": 401},
        {"body": "", "status": 418},
        {"body": '{"x":"' + "y" * 3000 + '"}', "content_type": JSON},
    ],
    ids=lambda options: str(sorted(options.items()))[:70],
)
def test_a_malformed_response_is_502(upstream, proxy_of, options, capsys):
    upstream.get(f"{BASE}/Patient/one", **options)
    response = proxy_of(max_answer=2000).get("Patient/one")
    assert (response.status_code, len(upstream.calls)) == (502, 1)
    assert "Zebedee" not in response.text + "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "value",
    [
        ONE,
        {"resourceType": "Bundle", "entry": {}},
        {"resourceType": "Bundle", "entry": [1]},
        {"resourceType": "Bundle", "link": [{"relation": "next"}, 1]},
        {"resourceType": "Bundle", "total": "many"},
        bundle({}),
        bundle(ONE | {"resourceType": "Group"}),
        page_with_next("https://elsewhere.test/fhir/Patient?page=2"),
        page_with_next("https://ehr.test.elsewhere.test/fhir?page=2"),
        page_with_next("https://ehr.test/fhirs?page=2"),
        page_with_next("https://ehr.test@elsewhere.test/fhir?page=2"),
        page_with_next("http://ehr.test/fhir?page=2"),
        page_with_next("//elsewhere.test/fhir?page=2"),
        page_with_next(f"{BASE}/../admin?page=2"),
        page_with_next(f"{BASE}/%2e%2e/admin?page=2"),
        page_with_next("file:///etc/passwd"),
    ],
    ids=lambda value: str(value)[-60:],
)  # fmt: skip
def test_a_malformed_page_or_a_next_link_outside_the_base_url_is_502(upstream, client, value):
    upstream.get(SEARCH, json=value, content_type=JSON)
    assert status_and_codes(client.get("Patient")) == (502, ["exception"])
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("link", [f"{BASE}?_getpages=a%20b&x=1", "?_getpages=a%20b&x=1", f"{BASE}/Patient/p?n=2"])  # fmt: skip
def test_a_next_link_below_the_base_url_is_followed_unchanged(upstream, client, link):
    upstream.get(SEARCH, json=page_with_next(link), content_type=JSON)
    response = client.get("Patient")
    url = link if link.startswith("https") else f"{BASE}/{link}"
    upstream.get(url.partition("?")[0], json=bundle(ONE), content_type=JSON)
    assert ids_on_page(client.get(links(response)["next"])) == ["one"]
    assert upstream.calls[-1].request.url == url


def test_a_scan_with_next_links_in_a_loop_ends(upstream, client):
    upstream.get(SEARCH, json=page_with_next(f"{SEARCH}?page=2"), content_type=JSON)
    store = client._client.application.extensions["fhir_b12"].store
    pages = store.scan(["Patient"], since=None, access=FullAccess(), limits=())
    with pytest.raises(RequestError) as raised:
        list(pages)
    assert (raised.value.status, len(upstream.calls)) == (502, 2)


# --- errors of the upstream server


def outcome(**issue):
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error"} | issue]}


@pytest.mark.parametrize(
    ("upstream_issue", "expected"),
    [
        ((422, "required", "Patient.name[0].family"), (422, "required", "Patient.name[0].family")),
        ((400, "value", "Patient.name.where(family='Zebedee')"), (400, "value", None)),
        ((409, "Zebedee", "Zebedee"), (409, "conflict", None)),
        ((403, "zebedee", "Patient.zebedee"), (403, "forbidden", None)),
        ((412, "conflict", "Bundle.entry[0]"), (412, "conflict", None)),
        ((405, "not-supported", "Patient"), (422, "not-supported", None)),
    ],
)
def test_an_error_is_passed_on_with_status_code_and_path_but_without_its_texts(
    upstream, client, capsys, upstream_issue, expected
):
    status, code, expression = upstream_issue
    texts = {"diagnostics": "Zebedee is known", "details": {"text": "Zebedee"}}
    body = outcome(code=code, expression=[expression], **texts)
    upstream.post(f"{BASE}/Patient", json=body, status=status, content_type=JSON)
    response = client.post("Patient", PATIENT)
    (issue,) = response.json["issue"]
    location = issue.get("expression", [None])[0]
    assert (response.status_code, issue["code"], location) == expected
    assert "zebedee" not in (response.text + "".join(capsys.readouterr())).lower()


# --- requests


def test_requests_have_the_token_and_strict_handling_and_no_cookies(upstream, proxy_of):
    upstream.get(SEARCH, json=bundle(ONE), content_type=JSON, headers={"Set-Cookie": "a=b"})
    client = proxy_of(upstream_token="secret")
    client.get("Patient?active=true")
    client.get("Patient?active=true&_count=5&_elements=id")
    first, second = (call.request for call in upstream.calls)
    assert first.headers["Authorization"] == "Bearer secret"
    assert first.headers["Prefer"] == "handling=strict"
    assert "Cookie" not in second.headers
    assert second.url == f"{SEARCH}?active=true&_count=5"


def test_a_resource_missing_from_the_response_to_a_write_is_read(upstream, client):
    upstream.post(
        f"{BASE}/Patient", status=201, headers={"Location": f"{BASE}/Patient/one/_history/1"}
    )
    upstream.get(f"{BASE}/Patient/one", json=ONE, content_type=JSON)
    response = client.post("Patient", PATIENT | {"id": "mine"})
    assert (response.status_code, response.json["id"]) == (201, "one")
    assert b"mine" not in upstream.calls[0].request.body


def test_a_delete_without_a_version_has_no_etag(upstream, client):
    upstream.get(f"{BASE}/Patient/one", json=ONE, content_type=JSON)
    upstream.delete(f"{BASE}/Patient/one", status=200, json=outcome(), content_type=JSON)
    response = client("DELETE", "Patient/one")
    assert (response.status_code, "ETag" in response.headers) == (204, False)
    upstream.get(f"{BASE}/Patient/two", status=410)
    deleted = client.get("Patient/two")
    assert (status_and_codes(deleted), "ETag" in deleted.headers) == ((410, ["deleted"]), False)


def test_an_upstream_server_of_another_fhir_version_is_not_ready(upstream, client):
    upstream.get(
        f"{BASE}/metadata", json={"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}
    )
    assert client.get("/readyz").status_code == 503


# --- timeouts


@pytest.fixture
def slow():
    """Return a function that starts a server and returns its URL.

    The server sends raw bytes as its response, then more bytes five times a second.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve(head, drip):
        while not stop.is_set():
            try:
                sender, _ = listener.accept()
            except OSError:
                return
            with sender:
                sender.recv(65536)
                try:
                    sender.sendall(head)
                    while not stop.wait(0.2):
                        sender.sendall(drip)
                except OSError:
                    pass

    def start(head, drip):
        threading.Thread(target=serve, args=(head, drip), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"

    yield start
    stop.set()
    listener.close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100000\r\n\r\n"


@pytest.mark.parametrize(("head", "drip"), [(HEAD, b" "), (b"", b"")], ids=["drips", "is silent"])
def test_a_slow_response_times_out(proxy_of, slow, head, drip):
    client = proxy_of(slow(head, drip), timeout=1)
    assert status_and_codes(client.post("Patient", PATIENT)) == (503, ["transient"])


def test_malformed_headers_put_no_query_into_the_log(proxy_of, slow, caplog):
    head = HEAD.replace(b"100000\r\n", b"2\r\n: x\r\nnothing\r\n") + b"{}"
    proxy_of(slow(head, b""), timeout=1).get("Patient?name=Zebedee")
    assert "Zebedee" not in caplog.text
