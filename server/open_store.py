"""Open the store that the settings name."""

from importlib import import_module
from typing import Any

from fhir_b12.server.config import Config
from fhir_b12.server.store import Store


def open_store(config: Config) -> Store:
    """Open the store that `config.database` names.

    Raises:
        ConfigError: the database cannot be opened.

    """
    store: Store = store_module(config).open_store(config)
    return store


def store_module(config: Config) -> Any:
    """Return the module of the configured store; other stores' dependencies stay unloaded."""
    return import_module(f"fhir_b12.server.store.{config.store}")
