"""A server of ours that listens on loopback, and the store that stands in front of it."""

import threading
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fhir_b12.server import serve
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.store.proxy.store import ProxyStore
from tests.server.temporary import Temporary


class Behind:
    """A server on a SQLite file of its own, that takes what it is given."""

    def __init__(self, **more):
        self.config = serve.with_free_port(
            Config(open=True, audit=False, validation="off", port=0, threads=4, grace=1)
        )
        self.store = Temporary(self.config)
        server = serve.create_listening_server(
            create_app(self.config, self.store, **more), self.config
        )
        self._stop = serve.ServerLoop(server, 1)
        self._running = threading.Thread(target=self._stop.run)
        self._running.start()

    def close(self):
        self._stop.stop()
        self._running.join()
        self.store.close()


class InFront(ProxyStore):
    """A store in front of a new server; what a test lets go is closed with it."""

    def __init__(self, config=None, **more):
        self.behind = Behind(**more)
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        own = str(Path(self._folder.name) / "own.db")
        base = self.behind.config.base
        super().__init__(base, replace(config or Config(), database=base, local=own))

    def close(self):
        super().close()
        self.behind.close()
        self._folder.cleanup()
