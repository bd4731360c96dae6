"""Administration of a database: indexes, backup, restore, clients."""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from fhir_b12.jsonio import JsonError, loads
from fhir_b12.server.auth.clients import build_client
from fhir_b12.server.auth.jwks import validate_jwks_url
from fhir_b12.server.config import Config, ConfigError
from fhir_b12.server.open_store import open_store, store_module
from fhir_b12.server.store import Store


def reindex(arguments: Namespace) -> int:
    """Run `fhir-b12 reindex`."""
    store = open_store(_settings(arguments))
    try:
        sys.stderr.write(f"{store.reindex()} resources indexed\n")
    finally:
        store.close()
    return 0


def backup(arguments: Namespace) -> int:
    """Run `fhir-b12 backup FILE`.

    Raises:
        ConfigError: the file exists, or the database cannot be copied.

    """
    path = Path(arguments.file)
    if path.exists():
        raise ConfigError(f"{arguments.file} exists: choose another file")
    store = open_store(_settings(arguments))
    try:
        store.backup(path)
    finally:
        store.close()
    sys.stderr.write(f"{path}: {path.stat().st_size} bytes written\n")
    return 0


def restore(arguments: Namespace) -> int:
    """Run `fhir-b12 restore FILE`."""
    config = _settings(arguments)
    store_module(config).restore(Path(arguments.file), config)
    sys.stderr.write(f"database restored from {arguments.file}\n")
    return 0


def _settings(arguments: Namespace) -> Config:
    return Config.from_environment(os.environ, database=arguments.database)


# --- `fhir-b12 clients …`


def clients(arguments: Namespace) -> int:
    """Run `fhir-b12 clients add|list|remove|key`.

    Raises:
        ConfigError: an argument is missing or invalid, the client exists already, or there is no
            such client.

    """
    if arguments.what == "key":
        return _create_key(Path(arguments.file or "private-key.json"))
    config = _settings(arguments)
    store = open_store(config)
    try:
        if arguments.what == "list":
            _list_clients(store)
        elif arguments.name is None:
            raise ConfigError(f"client id missing: fhir-b12 clients {arguments.what} NAME …")
        elif arguments.what == "remove":
            if not store.delete_client(arguments.name):
                message = f"no client {arguments.name} is registered: see fhir-b12 clients list"
                raise ConfigError(message)
        else:
            _add_client(store, config, arguments)
    finally:
        store.close()
    return 0


def _list_clients(store: Store) -> None:
    for client in store.clients():
        patient = f" patient {client['patient']}" if "patient" in client else ""
        sys.stdout.write(f"{client['id']}\t{client['scope']}{patient}\n")


def _add_client(store: Store, config: Config, arguments: Namespace) -> None:
    """Register a client; one that exists is replaced only if `--replace` is given.

    Raises:
        ConfigError: an argument is missing or invalid, or the client exists already.

    """
    if arguments.scope is None or arguments.file is None:
        raise ConfigError("--scope and --jwks are required: add them")
    keys: Any
    if arguments.file.startswith("https://"):
        validate_jwks_url(keys := arguments.file, config.jwks_hosts)
    else:
        keys = _read_jwks(Path(arguments.file))
    client = build_client(arguments.name, arguments.scope, keys, arguments.patient)
    if store.client(arguments.name) is not None and not arguments.replace:
        message = (
            f"client {arguments.name} is registered already: choose another id, or add --replace"
            " to replace its keys and scopes"
        )
        raise ConfigError(message)
    store.put_client(client)


def _read_jwks(path: Path) -> Any:
    """Read a JWKS from a file.

    Raises:
        ConfigError: the file cannot be read, or is not JSON.

    """
    try:
        return json.loads(json.dumps(loads(path.read_bytes()), default=str))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except JsonError as error:
        message = f"{path} is not valid JSON: {error.issues[0].message}"
        raise ConfigError(message) from error


def _create_key(path: Path) -> int:
    """Write a new private key to a file with mode 0600, and its JWKS to standard output.

    Raises:
        ConfigError: the file exists, or cannot be written.

    """
    key = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} exists: choose another file with --jwks") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(key.as_dict(private=True), stream, indent=2)
    sys.stderr.write(f"private key written to {path}: keep it on the client's machine\n")
    sys.stdout.write(json.dumps({"keys": [key.as_dict(private=False)]}, indent=2) + "\n")
    return 0
