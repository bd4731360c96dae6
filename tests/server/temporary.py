"""The embedded store in a folder that goes with it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from fhir_b12.server.config import Config
from fhir_b12.server.store.sqlite import Sqlite


class Temporary(Sqlite):
    """A new database; what a test lets go is closed with it."""

    def __init__(self, config=None):
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        super().__init__(Path(self._folder.name) / "try.db", config or Config())

    def close(self):
        super().close()
        self._folder.cleanup()
