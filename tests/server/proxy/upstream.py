"""An upstream server on loopback, and a ProxyStore in front of it."""

import threading
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fhir_b12.server import serve
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.store.proxy.store import ProxyStore
from tests.server.temporary import Temporary


class UpstreamServer:
    """This server without authorization and validation, on a temporary database."""

    def __init__(self, **options):
        self.config = serve.with_free_port(
            Config(open=True, audit=False, validation="off", port=0, threads=4, grace=1)
        )
        self.store = Temporary(self.config)
        server = serve.create_listening_server(
            create_app(self.config, self.store, **options), self.config
        )
        self._loop = serve.ServerLoop(server, 1)
        self._thread = threading.Thread(target=self._loop.run)
        self._thread.start()

    def close(self):
        self._loop.stop()
        self._thread.join()
        self.store.close()


class ProxyWithUpstream(ProxyStore):
    """A ProxyStore with its own upstream server, closed together."""

    def __init__(self, config=None, **options):
        self.upstream_server = UpstreamServer(**options)
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        own = str(Path(self._folder.name) / "own.db")
        base = self.upstream_server.config.base
        super().__init__(base, replace(config or Config(), database=base, local=own))

    def close(self):
        super().close()
        self.upstream_server.close()
        self._folder.cleanup()
