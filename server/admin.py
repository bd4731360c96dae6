"""What is done to a database beside serving it: indexes, backup, restore, clients."""

import json
import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from fhir_b12.jsonio import JsonError, loads
from fhir_b12.server.app import module, open_store
from fhir_b12.server.auth.clients import registered
from fhir_b12.server.auth.jwks import check
from fhir_b12.server.config import Config, ConfigError


def reindex(arguments: Namespace) -> int:
    """`fhir-b12 reindex`"""
    store = open_store(_settings(arguments))
    try:
        sys.stderr.write(f"{store.reindex()} resources indexed\n")
    finally:
        store.close()
    return 0


def backup(arguments: Namespace) -> int:
    """`fhir-b12 backup FILE`"""
    path = _free(arguments.file)
    store = open_store(_settings(arguments))
    try:
        store.backup(path)
    finally:
        store.close()
    sys.stderr.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


def restore(arguments: Namespace) -> int:
    """`fhir-b12 restore FILE`"""
    config = _settings(arguments)
    module(config).restore(Path(arguments.file), config)
    sys.stderr.write(f"the database is as {arguments.file} was\n")
    return 0


def _settings(arguments: Namespace) -> Config:
    return Config.from_environment(os.environ, database=arguments.database)


def _free(name: str) -> Path:
    path = Path(name)
    if path.exists():
        raise ConfigError(f"{name} is there already; name another file")
    return path


# --- `fhir-b12 clients …`


def clients(arguments: Namespace) -> int:
    """`fhir-b12 clients add|list|remove|key`"""
    if arguments.what == "key":
        return _new_key(Path(arguments.file or "private-key.json"))
    config = _settings(arguments)
    store = open_store(config)
    try:
        if arguments.what == "list":
            for each in store.clients():
                patient = f" patient {each['patient']}" if "patient" in each else ""
                sys.stdout.write(f"{each['id']}\t{each['scope']}{patient}\n")
            return 0
        if arguments.name is None:
            raise ConfigError("name the client")
        if arguments.what == "remove":
            if not store.delete_client(arguments.name):
                raise ConfigError("there is no such client")
            return 0
        if arguments.scope is None or arguments.file is None:
            raise ConfigError("give --scope and --jwks")
        if arguments.file.startswith("https://"):
            check(keys := arguments.file, config.jwks_hosts)
        else:
            keys = _read(Path(arguments.file))
        store.put_client(registered(arguments.name, arguments.scope, keys, arguments.patient))
    finally:
        store.close()
    return 0


def _read(path: Path) -> Any:
    try:
        return json.loads(json.dumps(loads(path.read_bytes()), default=str))
    except (OSError, JsonError) as error:
        raise ConfigError(f"{path} cannot be read as JSON") from error


def _new_key(path: Path) -> int:
    """A new private key in a file that nobody else reads; its JWKS to standard output."""
    key = ECKey.generate_key("P-384", {"use": "sig", "alg": "ES384"}, auto_kid=True)
    try:
        place = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(place, "w", encoding="utf-8") as stream:
            json.dump(key.as_dict(private=True), stream, indent=2)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already; name another file") from error
    sys.stderr.write(f"{path} is the private key: keep it where the client runs\n")
    sys.stdout.write(json.dumps({"keys": [key.as_dict(private=False)]}, indent=2) + "\n")
    return 0
