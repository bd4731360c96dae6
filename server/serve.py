"""Run the server: waitress in one process, granian in several over PostgreSQL.

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
from fhir_b12.server.app import create_app, open_store
from fhir_b12.server.config import Config, ConfigError, is_loopback, variable
from fhir_b12.server.wire.media_types import FHIR_JSON

_BANNER = """
  ****************************************************************************
  *  OPEN: no authorization. Every program on this machine can read and      *
  *  write every patient's data. Use it to try things out, with made-up data. *
  ****************************************************************************
"""


def run(arguments: Namespace) -> int:
    """`fhir-b12 serve`"""
    names = {field.name for field in fields(Config)}
    given = {name: value for name, value in vars(arguments).items() if name in names}
    config = _with_port(checked(Config.from_environment(os.environ, **given)))
    telemetry.set_up()
    store = open_store(config)
    if config.open:
        sys.stderr.write(_BANNER)
    if config.workers > 1:
        store.close()  # each process has its own; the tables are there now
        return _several(config)
    try:
        return embedded(create_app(config, store), config)
    finally:
        store.close()


def _with_port(config: Config) -> Config:
    """With a free port in the place of 0: links name it, so it is chosen before anything else."""
    if config.port:
        return config
    with closing(socket.create_server((config.host, 0))) as free:
        return replace(config, port=free.getsockname()[1])


def checked(config: Config) -> Config:
    """The settings, if they go together.

    Raises:
        ConfigError: they do not; the message lists why.

    """
    wrong = []
    if config.open and not is_loopback(config.host):
        wrong.append(f"{variable('open')}: only on loopback; listen on 127.0.0.1")
    if config.workers > 1 and config.store != "postgres":
        wrong.append(f"{variable('workers')}: more than one needs PostgreSQL")
    if not 1 <= config.threads <= 256 or not 1 <= config.workers <= 256:
        wrong.append(f"{variable('threads')}, {variable('workers')}: 1 to 256")
    if not 0 <= config.port <= 65535:
        wrong.append(f"{variable('port')}: 0 to 65535")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return config


def _say(config: Config, port: int) -> None:
    sys.stderr.write(f"fhir-b12 serves {config.root}/fhir on {config.host} port {port}\n")
    sys.stderr.flush()


# --- one process


class Parser(HTTPRequestParser):
    """Refuses what two readers may take for two different requests, and says so in FHIR.

    https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers; not with both lengths, nor a packing of lengths in HTTP/1.0."""
        super().parse_header(header_plus)
        both = self.chunked and "CONTENT_LENGTH" in self.headers
        if both or "TRANSFER_ENCODING" in self.headers:
            self.connection_close = True
            raise ParsingError("Content-Length and Transfer-Encoding cannot both be obeyed")

    def received(self, data: bytes) -> int:
        """Take bytes in; an error becomes one that answers with an OperationOutcome."""
        taken: int = super().received(data)
        if self.error is not None and not isinstance(self.error, _TellingError):
            self.error = _TellingError(self.error.code, self.error.reason)
        return taken


_CODES = {413: "too-long", 431: "too-long", 501: "not-supported"}


class _TellingError(Error):
    """What waitress answers to what is no request, or too much of one."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason

    def to_response(self, ident: Any = None) -> Any:
        """Status, headers and body."""
        del ident
        code = _CODES.get(self.code, "structure")
        issue = Issue("fatal", code, "", f"the request was not read: {self.reason.lower()}")
        headers = [("Content-Type", FHIR_JSON), ("Cache-Control", "no-store")]
        return f"{self.code} {self.reason}", headers, dumps(outcome([issue]))


class Channel(HTTPChannel):
    """A connection whose requests are read by `Parser`."""

    parser_class = Parser


def embedded(app: Flask, config: Config, started: Callable[[int], None] | None = None) -> int:
    """Serve in this process until SIGTERM or SIGINT; what was begun is finished first."""
    server = listening(app, config)
    stop = Stop(server, config.grace)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.ask)
    port = server.effective_port
    _say(config, port)
    if started is not None:
        started(port)
    stop.loop()
    return 0


def listening(app: Flask, config: Config) -> Any:
    """A waitress server that listens."""
    # that a thread was busy for a moment is no line of the log
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
        clear_untrusted_proxy_headers=False,  # believed from configured proxies alone, see `wire`
        asyncore_use_poll=True,
    )
    server.channel_class = Channel
    return server


class Stop:
    """Turns waitress's loop until asked to stop, then until all answers are sent."""

    def __init__(self, server: Any, grace: float) -> None:
        self._server, self._grace = server, grace
        self._asked = False

    def ask(self, *_: Any) -> None:
        """End soon: nothing new is taken."""
        self._asked = True
        self._server.pull_trigger()

    def loop(self) -> None:
        """Serve; return when there is nothing left to be answered."""
        while not self._asked:
            self._turn()
        self._server.accepting = False
        self._server.del_channel()
        self._server.socket.close()
        end = time.monotonic() + self._grace
        while self._is_busy() and time.monotonic() < end:
            self._turn()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)

    def _turn(self) -> None:
        server = self._server
        server.asyncore.loop(timeout=0.2, map=server._map, use_poll=True, count=1)  # noqa: SLF001 - waitress has no other way to turn once

    def _is_busy(self) -> bool:
        channels = list(self._server.active_channels.values())
        return any(each.requests or each.total_outbufs_len for each in channels)


# --- several processes


def _several(config: Config) -> int:
    """Serve by granian; each process makes its own application of the same settings."""
    if not config.export_folder:
        with TemporaryDirectory(prefix="fhir-b12-export-") as folder:
            return _several(replace(config, export_folder=folder))
    for field in fields(Config):
        value = getattr(config, field.name)
        text = ",".join(value) if isinstance(value, tuple) else str(value).strip()
        os.environ[variable(field.name)] = text
    granian = import_module("granian")
    server = granian.Granian(
        "fhir_b12.server.serve:application",
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
    server.on_startup(partial(_say, config, config.port))
    server.serve()
    return 0


def application() -> Flask:
    """The application of one process of several."""
    telemetry.set_up()
    config = checked(Config.from_environment(os.environ))
    return create_app(config, open_store(config))
