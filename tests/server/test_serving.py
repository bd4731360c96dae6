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


@pytest.fixture
def port():
    server = serve.create_listening_server(create_app(CONFIG, Temporary()), CONFIG)
    stop = serve.ServerLoop(server, 5)
    running = threading.Thread(target=stop.run)
    running.start()
    yield server.effective_port
    stop.stop()
    running.join()


def asked(port, method, path, body=None, *, timeout=20, **headers):
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request(method, path, body, {n.replace("_", "-"): v for n, v in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def raw(port, text):
    """Status of the first answer, its body, and whether another answer follows."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sender:
        sender.sendall(text)
        answer = HTTPResponse(sender)
        answer.begin()
        body = answer.read()
        sender.settimeout(0.5)
        try:
            more = answer.will_close is False and bool(sender.recv(1))
        except TimeoutError:
            more = False
        return answer.status, body, more


def is_outcome(body):
    assert [str(issue) for issue in validate(body) if issue.is_error] == []
    return loads(body)["resourceType"] == "OperationOutcome"


def goes_on(port):
    return asked(port, "POST", "/fhir/Patient", PATIENT, Content_Type="application/json")[0] == 201


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
    found, body, more = raw(port, text + SMUGGLED)
    assert (found, is_outcome(body), more) == (status, True, False)
    assert goes_on(port)


def test_a_chunked_body_is_read(port):
    text = f"{len(PATIENT):x}\r\n{PATIENT}\r\n0\r\n\r\n".encode()
    sent = b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + text
    assert raw(port, sent)[0] == 201


def test_a_chunked_body_is_limited_too(port):
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    sent = (
        b"POST /fhir/Patient HTTP/1.1\r\n"
        + HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunk * 40
    )
    assert raw(port, sent)[0] == 413
    assert goes_on(port)


def test_stalled_uploads_block_no_other_request(port):
    stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(90)]
    for connection in stalled:
        connection.sendall(
            b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 500\r\n\r\n{"
        )
    for _ in range(3):  # who waits for a thread waits for ever
        assert asked(port, "GET", "/fhir/metadata", timeout=3)[0] == 200
        assert goes_on(port)
    for connection in stalled:
        assert is_open(connection)
        connection.close()
    assert goes_on(port)


def is_open(connection):
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Content-Length: 500\r\n\r\n{", [b""]),
        (b"POST /fhir/Patient HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{", [b""]),
        (b"POST /fhir/Pat", [b""]),
        (b"", [b""]),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [b"", b"HTTP/1.1 200 OK"]),
    ],
    ids=["body", "chunk", "line", "nothing", "whole"],
)  # fmt: skip
def test_a_half_closed_connection_is_answered_or_closed(port, text, answers):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sender:
        sender.sendall(text)
        sender.shutdown(socket.SHUT_WR)
        assert sender.recv(15) in answers
    assert goes_on(port)


def test_an_idle_connection_is_closed(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sender:
        sender.sendall(b"POST /fhir/Patient HTTP/1.1\r\n")
        assert sender.recv(100) == b""


class Slow(Temporary):
    """Takes its time to write."""

    begun = threading.Event()
    go = threading.Event()

    def apply(self, *given, **named):
        self.begun.set()
        self.go.wait(20)
        return super().apply(*given, **named)


def test_stopping_finishes_requests_in_progress_and_accepts_no_new_ones():
    server = serve.create_listening_server(create_app(CONFIG, Slow()), CONFIG)
    stop = serve.ServerLoop(server, 20)
    running = threading.Thread(target=stop.run)
    running.start()
    port, answers = server.effective_port, []
    writing = threading.Thread(target=lambda: answers.append(goes_on(port)))
    writing.start()
    Slow.begun.wait(20)
    stop.stop()
    while True:  # until it listens no more
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            break
        time.sleep(0.01)
    Slow.go.set()
    writing.join()
    running.join()
    assert answers == [True]


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
        assert asked(port, "GET", "/healthz")[0] == 200
        process.send_signal(number)
        assert process.stdout.read().splitlines()[-1] == "ended"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"open": True, "host": "0.0.0.0"}, "FHIR_B12_OPEN"),
        ({"open": True, "host": "::"}, "FHIR_B12_OPEN"),
        ({"open": True, "host": "127.0.0.1.evil.test"}, "FHIR_B12_OPEN"),
        ({"threads": 0}, "FHIR_B12_THREADS"),
        ({"port": 70000}, "FHIR_B12_PORT"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        serve.validate_config(replace(Config(), **settings))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_an_open_server_may_listen_on_loopback(host):
    assert serve.validate_config(Config(open=True, host=host)).open
