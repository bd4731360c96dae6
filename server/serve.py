"""Run the server: waitress in one process, granian in several with PostgreSQL.

https://docs.pylonsproject.org/projects/waitress https://github.com/emmett-framework/granian
"""

import logging
import os
import signal
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server
from waitress.utilities import Error

from fhir_b12.issues import Issue, outcome
from fhir_b12.jsonio import dumps
from fhir_b12.server import telemetry
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config, ConfigError, is_loopback, variable
from fhir_b12.server.open_store import open_store
from fhir_b12.server.wire.media_types import FHIR_JSON

_BANNER = """
  *****************************************************************************
  *  OPEN: no authorization. Every program on this machine can read and write *
  *  all patient data. Use it for trials with fictitious data only.           *
  *****************************************************************************
"""


def run(arguments: Namespace) -> int:
    """Run `fhir-b12 serve`."""
    names = {field.name for field in fields(Config)}
    options = {name: value for name, value in vars(arguments).items() if name in names}
    config = with_free_port(validate_config(Config.from_environment(os.environ, **options)))
    telemetry.configure_log()
    store = open_store(config)
    if config.open:
        sys.stderr.write(_BANNER)
    if config.workers > 1:
        store.close()  # each process opens its own; the tables exist now
        return _serve_in_processes(config)
    try:
        return serve_in_process(create_app(config, store), config)
    finally:
        store.close()


def with_free_port(config: Config) -> Config:
    """Replace port 0 by a free port; it is chosen first because links contain it."""
    if config.port:
        return config
    with closing(socket.create_server((config.host, 0))) as free:
        return replace(config, port=free.getsockname()[1])


def validate_config(config: Config) -> Config:
    """Return the settings if they can be combined.

    Raises:
        ConfigError: they cannot; the message lists why.

    """
    errors = []
    if config.open and not is_loopback(config.host):
        message = "an open server must listen on loopback: set FHIR_B12_HOST to 127.0.0.1"
        errors.append(f"{variable('open')}: {message}")
    if config.workers > 1 and config.store != "postgres":
        message = "more than 1 requires PostgreSQL: set FHIR_B12_DATABASE to postgresql://…"
        errors.append(f"{variable('workers')}: {message}")
    errors += [
        f"{variable(name)}: must be 1 to 256"
        for name in ("threads", "workers")
        if not 1 <= getattr(config, name) <= 256
    ]
    if not 0 <= config.port <= 65535:
        errors.append(f"{variable('port')}: must be 0 to 65535")
    if errors:
        raise ConfigError("\n".join(errors))
    return config


def _report_start(config: Config, port: int) -> None:
    sys.stderr.write(f"fhir-b12 serves {config.root}/fhir on {config.host} port {port}\n")
    sys.stderr.flush()


# --- one process


class Parser(HTTPRequestParser):
    """Parser that refuses requests with an ambiguous length, against request smuggling.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers; refuse both lengths at once, and chunks in HTTP/1.0.

        Raises:
            ParsingError: the length of the body is ambiguous.

        """
        super().parse_header(header_plus)
        has_both = self.chunked and "CONTENT_LENGTH" in self.headers
        if has_both or "TRANSFER_ENCODING" in self.headers:
            self.connection_close = True
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")

    def received(self, data: bytes) -> int:
        """Parse bytes; an error becomes one that responds with an OperationOutcome."""
        consumed: int = super().received(data)
        if self.error is not None and not isinstance(self.error, _FhirError):
            self.error = _FhirError(self.error.code, self.error.reason)
        return consumed


_CODES = {413: "too-long", 431: "too-long", 501: "not-supported"}


class _FhirError(Error):
    """Response of waitress to a request that it cannot parse, in FHIR."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason

    def to_response(self, ident: Any = None) -> Any:
        """Return status, headers and body."""
        del ident
        code = _CODES.get(self.code, "structure")
        issue = Issue("fatal", code, "", f"the request cannot be parsed: {self.reason.lower()}")
        headers = [("Content-Type", FHIR_JSON), ("Cache-Control", "no-store")]
        return f"{self.code} {self.reason}", headers, dumps(outcome([issue]))


class Channel(HTTPChannel):
    """Connection whose requests are parsed by `Parser`."""

    parser_class = Parser


def serve_in_process(
    app: Flask, config: Config, on_start: Callable[[int], None] | None = None
) -> int:
    """Serve in this process until SIGTERM or SIGINT; requests in progress are finished.

    Args:
        app: the application.
        config: its settings.
        on_start: called with the port when the server listens.

    """
    server = create_listening_server(app, config)
    loop = ServerLoop(server, config.grace)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, loop.stop)
    port = server.effective_port
    _report_start(config, port)
    if on_start is not None:
        on_start(port)
    loop.run()
    return 0


def create_listening_server(app: Flask, config: Config) -> Any:
    """Create a waitress server that listens."""
    # it warns whenever a request waits for a thread
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    family, *_, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    server: Any = create_server(
        app,
        sockets=[listener],
        threads=config.threads,
        ident=None,
        connection_limit=1000,
        backlog=1024,
        channel_timeout=config.timeout,
        cleanup_interval=max(1, min(30, config.timeout // 4)),
        max_request_header_size=config.max_header,
        max_request_body_size=config.max_body + 1,
        clear_untrusted_proxy_headers=False,  # `client_address` checks who sent them
        asyncore_use_poll=True,
    )
    server.channel_class = Channel
    return server


class ServerLoop:
    """Event loop of a waitress server; stops gracefully."""

    def __init__(self, server: Any, grace: float) -> None:
        """Set the server, and the seconds for requests in progress at shutdown."""
        self._server, self._grace = server, grace
        self._is_stopping = False

    def stop(self, *_: Any) -> None:
        """Stop soon: accept no new connections."""
        self._is_stopping = True
        self._server.pull_trigger()

    def run(self) -> None:
        """Serve until stopped, then until all responses are sent or the grace period ends."""
        while not self._is_stopping:
            self._poll()
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()
        end = time.monotonic() + self._grace
        while self._is_busy() and time.monotonic() < end:
            self._poll()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)

    def _poll(self) -> None:
        server = self._server
        server.asyncore.loop(timeout=0.2, map=server._map, use_poll=True, count=1)  # noqa: SLF001 - the only way to poll once

    def _is_busy(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(channel.requests or channel.total_outbufs_len for channel in channels)


# --- several processes


def _serve_in_processes(config: Config) -> int:
    """Serve with granian; each process builds its own application from the same settings."""
    if not config.export_folder:
        with TemporaryDirectory(prefix="fhir-b12-export-") as folder:
            return _serve_in_processes(replace(config, export_folder=folder))
    for field in fields(Config):
        value = getattr(config, field.name)
        text = ",".join(value) if isinstance(value, tuple) else str(value).strip()
        os.environ[variable(field.name)] = text
    granian = import_module("granian")
    server = granian.Granian(
        "fhir_b12.server.serve:create_worker_app",
        address=config.host,
        port=config.port,
        interface="wsgi",
        workers=config.workers,
        blocking_threads=config.threads,
        factory=True,
        log_level=import_module("granian.log").LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=config.grace,
        http="1",
        http1_settings=import_module("granian.http").HTTP1Settings(
            header_read_timeout=config.timeout * 1000, max_buffer_size=max(config.max_header, 8192)
        ),
    )
    server.on_startup(partial(_report_start, config, config.port))
    server.serve()
    return 0


def create_worker_app() -> Flask:
    """Build the application of one of several processes, from the environment."""
    telemetry.configure_log()
    config = validate_config(Config.from_environment(os.environ))
    return create_app(config, open_store(config))
