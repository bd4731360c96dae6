"""What is done to a database beside serving it: indexes, backup, restore."""

import os
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

from fhir_b12.server.app import opened
from fhir_b12.server.config import Config, ConfigError


def reindex(arguments: Namespace) -> int:
    """`fhir-b12 reindex`"""
    store = opened(_settings(arguments))
    try:
        sys.stderr.write(f"{store.reindex()} resources indexed\n")
    finally:
        store.close()
    return 0


def backup(arguments: Namespace) -> int:
    """`fhir-b12 backup FILE`"""
    path = _free(arguments.file)
    store = opened(_settings(arguments))
    try:
        store.backup(path)
    finally:
        store.close()
    sys.stderr.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


def restore(arguments: Namespace) -> int:
    """`fhir-b12 restore FILE`: SQLite alone; PostgreSQL has pg_restore."""
    config = _settings(arguments)
    if config.database.startswith("postgresql://"):
        raise ConfigError("pg_restore puts a PostgreSQL backup in its place")
    path = _free(config.database)
    import_module("fhir_b12.server.store.sqlite").restore(Path(arguments.file), path)
    sys.stderr.write(f"{config.database} is as {arguments.file} was\n")
    return 0


def _settings(arguments: Namespace) -> Config:
    return Config.from_environment(os.environ, database=arguments.database)


def _free(name: str) -> Path:
    path = Path(name)
    if path.exists():
        raise ConfigError(f"{name} is there already; name another file")
    return path
