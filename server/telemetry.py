"""Log and metrics, without patient data.

The log has one JSON object per line: request id, route, status, milliseconds. Ids are hashed with
a key that each process draws at start; queries and bodies are not logged.
"""

import atexit
import re
import sys
import threading
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from secrets import token_bytes
from typing import Any, TextIO

import msgspec
from flask import Request

FLUSH_INTERVAL = 0.1  #: seconds for which lines are collected before they are written
_HASH_KEY = token_bytes(32)
_encode = msgspec.json.Encoder().encode_lines  # faster than `dumps`, which checks what it writes


class JsonLog:
    """Log of JSON lines, written in groups: a write per line makes threads wait for each other."""

    def __init__(self, stream: TextIO | None = None, flush_interval: float = 0) -> None:
        """Write to a stream, or to what is `sys.stderr` then; at once if the interval is 0 s."""
        self._stream, self._interval = stream, flush_interval
        self._lines: deque[dict[str, Any]] = deque()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def write(self, event: str, **fields: Any) -> None:
        """Add a line: the fields, the event and the time."""
        fields["event"] = event
        fields["timestamp"] = f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z"
        self.append(fields)

    def append(self, line: dict[str, Any]) -> None:
        """Add a line as it is."""
        self._lines.append(line)
        if not self._interval:
            self.flush()
        elif self._timer is None:
            with self._lock:
                if self._timer is None:
                    self._timer = threading.Timer(self._interval, self._flush_by_timer)
                    self._timer.daemon = True
                    self._timer.start()

    def _flush_by_timer(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Write the collected lines; a closed stream does not fail the request."""
        with self._lock, suppress(OSError, ValueError):
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if lines:
                stream = self._stream or sys.stderr
                stream.write(_encode(lines).decode())
                stream.flush()


_log = JsonLog()


def configure_log(stream: TextIO | None = None) -> None:
    """Write the log at once to a stream; without one, to standard error after FLUSH_INTERVAL."""
    global _log  # noqa: PLW0603 - one log per process, as with `logging`
    _log = JsonLog(None, FLUSH_INTERVAL) if stream is None else JsonLog(stream)
    atexit.register(_log.flush)


def hash_id(text: str) -> str:
    """Return a hash that identifies an id in the log of this process, and in no other."""
    return blake2b(text.encode("utf-8", "replace"), key=_HASH_KEY, digest_size=8).hexdigest()


def log_request(
    request: Request, request_id: str, client: str | None, status: int, milliseconds: float,
    *, is_slow: bool,
) -> None:  # fmt: skip
    """Log one request that is answered; `client` is None on an open server."""
    fields: dict[str, Any] = {
        "request": request_id,
        "method": request.method,
        "route": route_of(request),
        "status": status,
        "ms": round(milliseconds, 1),
    }
    arguments = request.view_args or {}
    ids = (arguments.get(name) for name in ("resource_id", "owner_id", "job_id"))
    if resource_id := next(filter(None, ids), None):
        fields["id"] = hash_id(resource_id)
    if client is not None:
        fields["client"] = hash_id(client)
    _log.write("slow" if is_slow else "request", **fields)


def log_defect(error: Exception, request_id: str = "") -> None:
    """Log type and location of an unexpected error; its message may contain patient data."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    where = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    _log.write("defect", request=request_id, error=type(error).__name__, where=where)


def route_of(request: Request) -> str:
    """Return the rule of a request with its type: `/fhir/Patient/<resource_id>/_history`."""
    if request.url_rule is None:
        return "unknown"
    arguments = request.view_args or {}
    return _fill_types(
        request.url_rule.rule, arguments.get("owner_type", ""), arguments.get("resource_type", "")
    )


_TYPE_VARIABLES = re.compile(r"<\w+:(owner_type|resource_type)>")


@lru_cache(maxsize=1024)
def _fill_types(rule: str, owner_type: str, resource_type: str) -> str:
    return _TYPE_VARIABLES.sub(
        lambda match: owner_type if match[1] == "owner_type" else resource_type, rule
    )


class Metrics:
    """Request times for Prometheus.  https://prometheus.io/docs/instrumenting/writing_exporters/"""

    def __init__(self) -> None:
        self._prometheus: Any = import_module("prometheus_client")  # an optional dependency
        self._registry = self._prometheus.CollectorRegistry()
        self._seconds = self._prometheus.Histogram(
            "fhir_b12_request_seconds",
            "How long requests took",
            ("method", "route", "status"),
            registry=self._registry,
        )

    def observe(self, request: Request, status: int, milliseconds: float) -> None:
        """Count a request and its time."""
        labels = self._seconds.labels(request.method, route_of(request), str(status))
        labels.observe(milliseconds / 1000)

    def format(self) -> bytes:
        """Return all counters in the text format of Prometheus."""
        text: bytes = self._prometheus.generate_latest(self._registry)
        return text
