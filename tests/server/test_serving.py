"""A listening server: malformed requests, overload, shutdown.

https://www.rfc-editor.org/rfc/rfc9112
"""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection, HTTPResponse

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.server import serve
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config, ConfigError
from fhir_b12.validation import validate
from tests.server.temporary import Temporary

CONFIG = Config(open=True, port=0, max_body=100_000, max_header=8192, threads=4, timeout=2)
PATIENT = json.dumps({"resourceType": "Patient", "active": True})
HEAD = b"Host: localhost\r\nContent-Type: application/fhir+json\r\n"


@contextmanager
def run_server(config):
    """Run a server with a temporary database; yield its port."""
    server = serve.create_listening_server(create_app(config, Temporary()), config)
    loop = serve.ServerLoop(server, 5)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield server.effective_port
    finally:
        loop.stop()
        thread.join()


@pytest.fixture
def port():
    with run_server(CONFIG) as port:
        yield port


def send_request(port, method, path, body=None, **headers):
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, {n.replace("_", "-"): v for n, v in headers.items()})
    response = connection.getresponse()
    result = response.status, response.read()
    connection.close()
    return result


def send_raw(port, text):
    """Return status and body of the first response, and whether another response follows."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sender:
        sender.sendall(text)
        response = HTTPResponse(sender)
        response.begin()
        body = response.read()
        sender.settimeout(0.5)
        try:
            more = response.will_close is False and bool(sender.recv(1))
        except TimeoutError:
            more = False
        return response.status, body, more


def is_outcome(body):
    assert [str(issue) for issue in validate(body) if issue.is_error] == []
    return loads(body)["resourceType"] == "OperationOutcome"


def accepts_create(port):
    return (
        send_request(port, "POST", "/fhir/Patient", PATIENT, Content_Type="application/json")[0]
        == 201
    )


SMUGGLED = b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
        (b"POST /fhir/Patient HTTP/1.0\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", 400),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n{}", 400),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: +2\r\n\r\n{}", 400),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET /fhir/Patient HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET /fhir/Patient\r\n\r\n", 421),
        (b"NONSENSE\r\n\r\n", 400),
        (b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"GET /fhir/Patient HTTP/1.1\r\n" + b"X: x\r\n" * 5000 + b"\r\n", 431),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 100000000\r\n\r\n", 413),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: " + b"9" * 50 + b"\r\n\r\n", 413),
    ],
    ids=range(18),
)  # fmt: skip
def test_a_malformed_request_gets_an_outcome_and_closes_the_connection(port, text, status):
    returned, body, more = send_raw(port, text + SMUGGLED)
    assert (returned, is_outcome(body), more) == (status, True, False)
    assert accepts_create(port)


def test_a_chunked_body_is_read(port):
    text = f"{len(PATIENT):x}\r\n{PATIENT}\r\n0\r\n\r\n".encode()
    sent = b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + text
    assert send_raw(port, sent)[0] == 201


def test_a_chunked_body_is_limited_too(port):
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    sent = (
        b"POST /fhir/Patient HTTP/1.1\r\n"
        + HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunk * 40
    )
    assert send_raw(port, sent)[0] == 413
    assert accepts_create(port)


def test_stalled_uploads_block_no_other_request():
    # The server closes idle connections after a minute; requests that wait for them fail before.
    with run_server(replace(CONFIG, timeout=60)) as port:
        stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(90)]
        for connection in stalled:
            connection.sendall(
                b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 500\r\n\r\n{"
            )
        for _ in range(3):  # a request that waited for a thread would time out
            assert send_request(port, "GET", "/fhir/metadata")[0] == 200
            assert accepts_create(port)
        for connection in stalled:
            assert is_open(connection)
            connection.close()
        assert accepts_create(port)


def is_open(connection):
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    ("text", "responses"),
    [
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 500\r\n\r\n{", [b""]),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", [b""]),
        (b"POST /fhir/Pat", [b""]),
        (b"", [b""]),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [b"", b"HTTP/1.1 200 OK"]),
    ],
    ids=["body", "chunk", "line", "nothing", "whole"],
)  # fmt: skip
def test_a_half_closed_connection_is_answered_or_closed(port, text, responses):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sender:
        sender.sendall(text)
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(15) in responses
    assert accepts_create(port)


def test_an_idle_connection_is_closed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sender:
        sender.sendall(b"POST /fhir/Patient HTTP/1.1\r\n")
        assert sender.recv(100) == b""


class SlowStore(Temporary):
    """Waits for an event before it writes."""

    begun = threading.Event()
    go = threading.Event()

    def apply(self, *arguments, **options):
        self.begun.set()
        self.go.wait(20)
        return super().apply(*arguments, **options)


def test_stopping_finishes_requests_in_progress_and_accepts_no_new_ones():
    server = serve.create_listening_server(create_app(CONFIG, SlowStore()), CONFIG)
    stop = serve.ServerLoop(server, 20)
    running = threading.Thread(target=stop.run)
    running.start()
    port, responses = server.effective_port, []
    writing = threading.Thread(target=lambda: responses.append(accepts_create(port)))
    writing.start()
    SlowStore.begun.wait(20)
    stop.stop()
    while True:  # until the port is closed
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            break
        time.sleep(0.01)
    SlowStore.go.set()
    writing.join()
    running.join()
    assert responses == [True]


_PROGRAM = """
from tests.server.temporary import Temporary
from fhir_b12.server import serve
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
config = Config(open=True, port=0)
serve.serve_in_process(create_app(config, Temporary()), config, on_start=lambda port: print(port, flush=True))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server_gracefully(number):
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        port = int(process.stdout.readline())
        assert send_request(port, "GET", "/healthz")[0] == 200
        process.send_signal(number)
        assert process.stdout.read().splitlines()[-1] == "ended"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"open": True, "host": "0.0.0.0"}, "FHIR_B12_OPEN"),
        ({"open": True, "host": "::"}, "FHIR_B12_OPEN"),
        ({"open": True, "host": "127.0.0.1.evil.test"}, "FHIR_B12_OPEN"),
        ({"threads": 0}, "FHIR_B12_THREADS"),
        ({"port": 70000}, "FHIR_B12_PORT"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, setting):
    with pytest.raises(ConfigError, match=setting):
        serve.validate_config(replace(Config(), **settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_an_open_server_may_listen_on_loopback(host):
    assert serve.validate_config(Config(open=True, host=host)).open
