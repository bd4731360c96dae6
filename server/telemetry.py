"""What is seen of the server from outside: log, health, metrics; never a patient's data.

A line of the log is JSON: request id, route template, status, milliseconds. Ids are hashed with a
key that each process draws for itself, queries and bodies are not there.
"""

import atexit
import re
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from secrets import token_bytes, token_hex
from typing import Any, TextIO

import msgspec
import structlog
from flask import Flask, Request, Response, current_app

from fhir_b12.server.config import Config
from fhir_b12.server.errors import refuse
from fhir_b12.server.wire.request_origin import is_batch_entry

PAUSE = 0.1  #: seconds for which lines are gathered
_KEY = token_bytes(32)
_encode = msgspec.json.Encoder().encode_lines  # what is logged is ours, with nothing to check
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}\Z")


def set_up(stream: TextIO | None = None) -> None:
    """Write the log as JSON lines, at once to a stream given, soon to standard error if none is."""
    lines = Lines(sys.stderr, PAUSE) if stream is None else Lines(stream, 0)
    atexit.register(lines.flush)
    structlog.configure(
        processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), _kept],
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )


def _kept(_: Any, __: str, event: MutableMapping[str, Any]) -> tuple[tuple[Any], dict[str, Any]]:
    """As it is: JSON is made of it when it is written, not while somebody waits."""
    return (event,), {}


class Lines:
    """Takes lines and writes them together: a write for each makes threads wait for each other."""

    def __init__(self, stream: TextIO, pause: float) -> None:
        self._stream, self._pause = stream, pause
        self._lines: deque[MutableMapping[str, Any]] = deque()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def msg(self, line: MutableMapping[str, Any]) -> None:
        """Take a line."""
        self._lines.append(line)
        if not self._pause:
            self.flush()
        elif self._timer is None:
            with self._lock:
                if self._timer is None:
                    self._timer = threading.Timer(self._pause, self._due)
                    self._timer.daemon = True
                    self._timer.start()

    info = error = warning = msg

    def _due(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Write what was taken; that nobody reads the log is no reason to fail a request."""
        with self._lock, suppress(OSError, ValueError):
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                self._stream.write(_encode(lines).decode())
                self._stream.flush()


def hashed(text: str) -> str:
    """What stands for an id in the log: the same for the same id, in this process alone."""
    return blake2b(text.encode("utf-8", "replace"), key=_KEY, digest_size=8).hexdigest()


def watch(app: Flask) -> None:
    """Log every request, answer for health, count where metrics are wanted."""
    app.extensions["fhir_b12_log"] = structlog.get_logger().bind()
    app.add_url_rule("/healthz", "public healthz", healthy)
    app.add_url_rule("/readyz", "public readyz", ready)
    config = app.extensions["fhir_b12"].config
    if config.metrics:
        app.extensions["fhir_b12_metrics"] = _metrics(app)


def healthy() -> Response:
    """`GET /healthz`: the process answers."""
    return Response('{"status":"ok"}', mimetype="application/json")


def ready() -> Response:
    """`GET /readyz`: the store answers too."""
    if not current_app.extensions["fhir_b12"].store.ready():
        raise refuse(503, "transient", "the store does not answer; try again", Retry_After="5")
    return healthy()


def begin(asked: Request, state: Any) -> None:
    """Take the time; give the request an id, its own if it has one."""
    named = asked.environ.get("HTTP_X_REQUEST_ID", "")
    state.request_id = named if _REQUEST_ID.match(named) else token_hex(16)
    asked.environ["fhir_b12.request_id"] = state.request_id
    state.begun = time.perf_counter_ns()


def end(asked: Request, state: Any, response: Response, config: Config) -> None:
    """Log and count; what is asked within a batch is part of that."""
    response.headers.add("X-Request-Id", state.request_id)
    if is_batch_entry(asked):
        return
    took = (time.perf_counter_ns() - state.begun) / 1e6
    facts: dict[str, Any] = {
        "request": state.request_id,
        "method": asked.method,
        "route": template(asked),
        "status": response.status_code,
        "ms": round(took, 1),
    }
    if name := (asked.view_args or {}).get("name"):
        facts["id"] = hashed(name)
    if (client := getattr(state.get("access"), "client", None)) is not None:
        facts["client"] = hashed(str(client))
    log = current_app.extensions["fhir_b12_log"]
    log.info("slow" if took > config.slow else "request", **facts)
    if config.metrics:
        count = current_app.extensions["fhir_b12_metrics"]
        count(facts["method"], facts["route"], facts["status"], took)


def template(asked: Request) -> str:
    """The route as it was registered, with its type: `/fhir/Patient/<name>/_history`."""
    if asked.url_rule is None:
        return "unknown"
    parts = asked.view_args or {}
    return _template(asked.url_rule.rule, parts.get("owner", ""), parts.get("kind", ""))


@lru_cache(maxsize=1024)
def _template(rule: str, owner: str, kind: str) -> str:
    return _KINDS.sub(lambda found: owner if found[1] == "owner" else kind, rule)


_KINDS = re.compile(r"<(?:kept|stored|shipped|owner):(\w+)>")


def defect(error: Exception, request: str = "") -> None:
    """Log where something failed; not what it says, which may be a patient's."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    log = structlog.get_logger()  # a thread of an export has no application at hand
    log.error("defect", request=request, error=type(error).__name__, where=where)


def _metrics(app: Flask) -> Callable[[str, str, int, float], None]:
    """Counters for Prometheus at `/metrics`.  https://prometheus.io/docs/instrumenting/writing_exporters/"""
    prometheus = import_module("prometheus_client")
    registry = prometheus.CollectorRegistry()
    seconds = prometheus.Histogram(
        "fhir_b12_request_seconds",
        "How long requests took",
        ("method", "route", "status"),
        registry=registry,
    )

    def show() -> Response:
        return Response(prometheus.generate_latest(registry), mimetype="text/plain; version=0.0.4")

    def count(method: str, route: str, status: int, took: float) -> None:
        seconds.labels(method, route, str(status)).observe(took / 1000)

    app.add_url_rule("/metrics", "public metrics", show)
    return count
