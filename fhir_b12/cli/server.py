"""Commands of the server: `serve`, `clients`, `reindex`, `backup`, `restore`.

`fhir_b12.server` is imported when one of them runs: the library does not depend on it.
"""

import argparse
from importlib import import_module
from typing import Any

from fhir_b12.cli.parser import Commands
from fhir_b12.cli.streams import UsageError

#: Modules that the extras install; another missing module is a defect.
_EXTRAS = {
    "flask": "server", "waitress": "server", "jsonpatch": "server",
    "joserfc": "server", "werkzeug": "server", "requests": "server", "urllib3": "server",
    "alembic": "postgres", "granian": "postgres", "psycopg": "postgres", "psycopg_pool": "postgres",
    "prometheus_client": "metrics", "limits": "rate",
}  # fmt: skip


def serve(arguments: argparse.Namespace) -> int:
    """Run the server until it is stopped."""
    return _call_server("serve", "run", arguments)


def reindex(arguments: argparse.Namespace) -> int:
    """Rebuild the search indexes of a database."""
    return _call_server("admin", "reindex", arguments)


def backup(arguments: argparse.Namespace) -> int:
    """Write a copy of a database."""
    return _call_server("admin", "backup", arguments)


def restore(arguments: argparse.Namespace) -> int:
    """Restore a database from a copy."""
    return _call_server("admin", "restore", arguments)


def clients(arguments: argparse.Namespace) -> int:
    """Register, list or remove clients, or create a private key."""
    return _call_server("admin", "clients", arguments)


def _call_server(module: str, name: str, arguments: argparse.Namespace) -> int:
    """Call a function of the server package; return its exit code.

    Raises:
        UsageError: an extra is not installed, or a setting is invalid.
        ImportError: a module of the project is missing.
        ValueError: a defect.

    """
    try:
        function: Any = getattr(import_module(f"fhir_b12.server.{module}"), name)
        code: int = function(arguments)
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        message = f"{error.name} is not installed: run pip install 'fhir-b12[{extra}]'"
        raise UsageError(message) from error
    except ValueError as error:
        if type(error).__name__ != "ConfigError":
            raise
        raise UsageError(str(error)) from error
    return code


def add_commands(commands: Commands) -> None:
    """Add the commands; a setting that is not given comes from its FHIR_B12_ variable."""
    _add_serve(commands)
    _add_clients(commands)
    _add_reindex(commands)
    _add_backup(commands)
    _add_restore(commands)


def _add_serve(commands: Commands) -> None:
    command = commands.add(
        "serve",
        serve,
        "Run a FHIR R4 server for therapy data. Clients need an access token unless --open is\n"
        "given. Every setting can also be given as an FHIR_B12_ environment variable:\n"
        "docs/server.md lists them.",
        "--open",
        "--open --database clinic.db --port 8081",
        "--database postgresql://localhost/clinic --workers 4 --public-url https://fhir.clinic.org",
    )
    command.usage = "fhir-b12 serve [OPTIONS]"
    _add_database(command)
    group = command.add_argument_group("network")
    group.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    group.add_argument("--port", help="port to listen on (default: 8080)")
    group.add_argument(
        "--public-url", metavar="URL", help="base URL as clients see it, without /fhir"
    )
    group.add_argument("--workers", help="number of processes; more than one needs PostgreSQL")
    group.add_argument("--threads", help="number of threads in each process")
    group = command.add_argument_group("access and validation")
    group.add_argument(
        "--open", action="store_true", default=None, help="no authorization; loopback only"
    )
    group.add_argument(
        "--validation",
        metavar="LEVELS",
        help="off, base or profile; by type: base,Observation=profile",
    )
    group.add_argument(
        "--plausibility",
        metavar="LEVELS",
        help="off, advice or error; by type: advice,Observation=error",
    )
    group.add_argument(
        "--metrics", action="store_true", default=None, help="serve Prometheus metrics at /metrics"
    )


def _add_clients(commands: Commands) -> None:
    command = commands.add(
        "clients",
        clients,
        "Manage the clients that may request access tokens. A client has an id, public keys\n"
        "(JWKS) and scopes. `key` creates a private key in a new file and prints its public JWKS.",
        "key --jwks ehr.json",
        "add ehr --jwks jwks.json --scope 'system/*.rs system/Observation.cud'",
        "list",
    )
    command.add_argument("what", choices=("add", "list", "remove", "key"), help="action")
    command.add_argument("name", nargs="?", help="client id (for add and remove)")
    command.add_argument(
        "--jwks",
        dest="file",
        metavar="FILE",
        help="add: file or https URL of the public keys; key: file to create",
    )
    command.add_argument(
        "--scope", metavar="SCOPES", help="scopes separated by spaces, e.g. system/Observation.rs"
    )
    command.add_argument(
        "--patient", metavar="ID", help="restrict the client to one patient (Patient.id)"
    )
    command.add_argument(
        "--replace", action="store_true", default=None, help="add: replace an existing client"
    )
    _add_database(command)


def _add_reindex(commands: Commands) -> None:
    command = commands.add("reindex", reindex, "Rebuild the search indexes of a database.", "")
    _add_database(command)


def _add_backup(commands: Commands) -> None:
    command = commands.add(
        "backup",
        backup,
        "Write a consistent copy of the database, also while the server is running.",
        "copy.db",
    )
    command.add_argument("file", metavar="FILE", help="file to create; it must not exist")
    _add_database(command)


def _add_restore(commands: Commands) -> None:
    command = commands.add(
        "restore",
        restore,
        "Restore a database from a copy. The database must be missing or empty.",
        "copy.db --database clinic.db",
    )
    command.add_argument("file", metavar="FILE", help="copy written by `backup`")
    _add_database(command)


def _add_database(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--database",
        help="SQLite file, sqlite:///PATH, postgresql://... or URL of a FHIR server "
        "(default: fhir-b12.db)",
    )
