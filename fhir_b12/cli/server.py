"""`serve` and what belongs to it: run by `fhir_b12.server`, which is found when it is needed."""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

from fhir_b12.cli.streams import UsageError

Add = Callable[..., argparse.ArgumentParser]
#: what the extras bring; another missing module is a defect
_EXTRAS = {
    "flask": "server", "waitress": "server", "jsonpatch": "server",
    "joserfc": "server", "werkzeug": "server", "requests": "server", "urllib3": "server",
    "alembic": "postgres", "granian": "postgres", "psycopg": "postgres", "psycopg_pool": "postgres",
    "prometheus_client": "metrics", "limits": "rate",
}  # fmt: skip


def serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    code: int = _called("serve", "run", arguments)
    return code


def reindex(arguments: argparse.Namespace) -> int:
    """Make the search indexes again."""
    code: int = _called("admin", "reindex", arguments)
    return code


def backup(arguments: argparse.Namespace) -> int:
    """Write a copy of the database."""
    code: int = _called("admin", "backup", arguments)
    return code


def restore(arguments: argparse.Namespace) -> int:
    """Put a copy of the database in its place."""
    code: int = _called("admin", "restore", arguments)
    return code


def clients(arguments: argparse.Namespace) -> int:
    """Register clients, list them, take them away, make a key."""
    code: int = _called("admin", "clients", arguments)
    return code


def _called(module: str, name: str, arguments: argparse.Namespace) -> Any:
    """Call a function of the facade, which the library does not import."""
    try:
        return getattr(import_module(f"fhir_b12.server.{module}"), name)(arguments)
    except ImportError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        message = f"{error.name} is not installed; pip install 'fhir-b12[{extra}]'"
        raise UsageError(message) from error
    except ValueError as error:
        if type(error).__name__ != "ConfigError":
            raise
        raise UsageError(str(error)) from error


def add(add: Add) -> None:
    """The commands and their arguments; what is not given comes from FHIR_B12_… variables."""
    _add_serve(add)
    _add_clients(add)
    _add_upkeep(add)


def _add_serve(add: Add) -> None:
    made = add(
        "serve",
        serve,
        "A FHIR R4 server for therapy data. Clients need a token, unless it is --open.\n"
        "Everything can be set by FHIR_B12_… variables too; docs/server.md lists them.",
        "--open",
        "--open --database clinic.db --port 8081",
        "--database postgresql://localhost/clinic --workers 4 --public-url https://fhir.clinic.org",
    )
    _database(made)
    option = made.add_argument
    option("--host", help="address to listen on; 127.0.0.1 if not given")
    option("--port", help="port to listen on; 8080 if not given")
    option("--public-url", metavar="URL", help="how clients reach it, before /fhir")
    option("--open", action="store_true", default=None, help="no authorization; only on loopback")
    option("--workers", help="processes; more than one needs PostgreSQL")
    option("--threads", help="threads of each process")
    option("--validation", metavar="RULES", help="off, base, profile; base,Observation=profile")
    option("--plausibility", metavar="ADVICE", help="off, advice, error; likewise")
    option("--metrics", action="store_true", default=None, help="serve /metrics for Prometheus")


def _add_clients(add: Add) -> None:
    made = add(
        "clients",
        clients,
        "Who may ask for tokens: the id, the public keys (JWKS) and the scopes of each client.\n"
        "`key` makes a new private key in a file, and writes its JWKS.",
        "key --jwks ehr.json",
        "add ehr --jwks jwks.json --scope 'system/*.rs system/Observation.cud'",
        "list",
    )
    made.add_argument("what", choices=("add", "list", "remove", "key"), help="what to do")
    made.add_argument("name", nargs="?", help="the client's id")
    made.add_argument(
        "--jwks",
        dest="file",
        metavar="FILE",
        help="its public keys, or their url; of key: the new file",
    )
    made.add_argument("--scope", metavar="SCOPES", help="system/Observation.rs …, by blanks")
    made.add_argument(
        "--patient", metavar="ID", help="id of the only patient whose data the client may see"
    )
    made.add_argument(
        "--replace", action="store_true", help="of add: replace the client if it exists"
    )
    _database(made)


def _add_upkeep(add: Add) -> None:
    made = add("reindex", reindex, "Make the search indexes of a database again.", "")
    _database(made)

    made = add(
        "backup", backup, "Write a copy of the database, also while it is served.", "copy.db"
    )
    made.add_argument("file", metavar="FILE", help="the copy; it must not exist")
    _database(made)

    made = add(
        "restore", restore, "Put a copy where the database is to be: a file not there, or empty.",
        "copy.db --database clinic.db",
    )  # fmt: skip
    made.add_argument("file", metavar="FILE", help="the copy")
    _database(made)


def _database(made: argparse.ArgumentParser) -> None:
    said = "SQLite file, postgresql://… or url of a FHIR server; fhir-b12.db if not given"
    made.add_argument("--database", help=said)
