"""Temporary databases for tests: a SQLite file, or a schema of FHIR_B12_TEST_POSTGRES.

The variable is the url of a PostgreSQL database for tests only.
"""

import os
import uuid
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fhir_b12.server.config import Config

POSTGRES = os.environ.get("FHIR_B12_TEST_POSTGRES", "")

if POSTGRES:
    import psycopg

    from fhir_b12.server.store.postgres import PostgresStore as TestedStore
else:
    from fhir_b12.server.store.sqlite import SqliteStore as TestedStore


def database(folder):
    """Return the path or url of a new database."""
    name = f"t{uuid.uuid4().hex}"
    if not POSTGRES:
        return str(Path(folder) / f"{name}.db")
    with psycopg.connect(POSTGRES) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    separator = "&" if "?" in POSTGRES else "?"
    return f"{POSTGRES}{separator}options=-csearch_path%3D{name}&application_name={name}"


def wait_for_connections(store):
    """Let a thread wait for a connection of a PostgreSQL store for as long as the others need.

    A test runs more threads than a process has connections. In a server a request waits 5 seconds
    and is then answered by 503, which a test on a slow machine would take for a failure.
    """
    if POSTGRES:
        store._pool.timeout = 120


class Temporary(TestedStore):
    """A store with a new database; `close` deletes a SQLite file."""

    def __init__(self, config=None):
        self._folder = TemporaryDirectory(ignore_cleanup_errors=True)
        super().__init__(replace(config or Config(), database=database(self._folder.name)))
        wait_for_connections(self)

    def close(self):
        super().close()
        self._folder.cleanup()
