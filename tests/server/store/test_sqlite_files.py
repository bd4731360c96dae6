"""The file of a SQLite store: its url, its mode and its backups."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.store.sqlite import database_path, open_store, restore
from tests.server.store.test_store import ALL, at, patient, put


@pytest.fixture(params=[0o000, 0o022, 0o277])
def umask(request):
    previous = os.umask(request.param)
    yield
    os.umask(previous)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.usefixtures("umask")
def test_the_database_and_its_log_files_have_mode_0600(tmp_path):
    store = open_store(Config(database=str(tmp_path / "a.db")))
    store.apply([put("a", patient())], ALL, clock=at(0))
    assert modes(tmp_path) == {"a.db": 0o600, "a.db-wal": 0o600, "a.db-shm": 0o600}
    store.close()


@pytest.mark.usefixtures("umask")
def test_a_backup_and_a_restored_database_have_mode_0600(tmp_path):
    store = open_store(Config(database=str(tmp_path / "a.db")))
    store.apply([put("a", patient())], ALL, clock=at(0))
    store.backup(tmp_path / "copy")
    store.close()
    restore(tmp_path / "copy", Config(database=str(tmp_path / "b.db")))
    assert set(modes(tmp_path).values()) == {0o600}
    restored = open_store(Config(database=str(tmp_path / "b.db")))
    assert restored.read("Patient", "a", ALL).version_id == 1
    restored.close()


def test_files_are_private_while_a_backup_is_written_and_restored(tmp_path, monkeypatch):
    observed, copyfile = [], shutil.copyfile

    def observe(*paths):
        copyfile(*paths)
        observed.append(modes(tmp_path))

    monkeypatch.setattr(shutil, "copyfile", observe)
    store = open_store(Config(database=str(tmp_path / "a.db")))
    store.backup(tmp_path / "copy")
    store.close()
    restore(tmp_path / "copy", Config(database=str(tmp_path / "b.db")))
    assert [set(files.values()) for files in observed] == [{0o600}]
    assert "b.db.part" in observed[0]


def test_the_mode_of_an_existing_database_is_not_changed(tmp_path):
    path = tmp_path / "a.db"
    open_store(Config(database=str(path))).close()
    path.chmod(0o640)
    open_store(Config(database=str(path))).close()
    assert modes(tmp_path) == {"a.db": 0o640}


@pytest.mark.parametrize(
    ("database", "path"),
    [
        ("clinic.db", "clinic.db"),
        ("/srv/clinic.db", "/srv/clinic.db"),
        ("sqlite:///clinic.db", "clinic.db"),
        ("sqlite:///data/clinic.db", "data/clinic.db"),
        ("sqlite:////srv/clinic.db", "/srv/clinic.db"),
    ],
)
def test_a_database_is_a_path_or_a_sqlite_url(database, path):
    assert database_path(database) == Path(path)


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("sqlite://clinic.db", "write sqlite:///relative/path or sqlite:////absolute/path"),
        ("sqlite:///", "write sqlite:///relative/path or sqlite:////absolute/path"),
        ("sqlite:clinic.db", "write sqlite:///relative/path or sqlite:////absolute/path"),
        ("mysql://host/clinic", "unknown database scheme mysql"),
    ],
)
def test_another_database_url_is_refused(database, message):
    with pytest.raises(ConfigError, match=message):
        database_path(database)


def test_a_store_opens_a_sqlite_url(tmp_path):
    path = tmp_path / "a.db"
    open_store(Config(database=f"sqlite:///{path}")).close()
    assert path.is_file()


def test_a_database_in_a_missing_folder_is_an_error_of_the_settings(tmp_path):
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_store(Config(database=str(tmp_path / "missing" / "a.db")))
