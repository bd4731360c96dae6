"""Every setting: its variable, its default, what it does. `docs/server.md` is made of it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fhir_b12.server.resource_types import TYPES

PREFIX = "FHIR_B12_"
CHECKS = ("off", "base", "profile")  #: what is written is held to nothing, to R4, to profiles too
ADVICE = ("off", "advice", "error")  #: what looks mistaken passes untold, as a warning, not at all
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
#: by the scheme of a database's url
_STORES = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "http": "proxy.store",
    "https": "proxy.store",
}
_KIB, _MIB = 1024, 1024**2


class ConfigError(ValueError):
    """Settings that cannot be used; the message lists each with its remedy."""


def is_loopback(host: str) -> bool:
    """Whether a name or address is of this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _truth(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError("write true or false")
    return lowered in _TRUE


def _count(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError("write a whole number")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _url(text: str) -> str:
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("write an absolute http or https url without query")
    return text.strip().rstrip("/")


def _maybe_url(text: str) -> str:
    return _url(text) if text.strip() else ""


def _by_type(choices: tuple[str, ...]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        for part in _names(text):
            kind, _, choice = part.rpartition("=")
            if choice not in choices or (kind and kind not in TYPES):
                raise ValueError(f"write one of {', '.join(choices)}, or TYPE=CHOICE, by commas")
        return text.strip()

    return checked


def _setting(
    default: Any, doc: str, read: Callable[[str], Any] = str.strip, *, secret: bool = False
) -> Any:
    return dataclasses.field(default=default, repr=not secret, metadata={"doc": doc, "read": read})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one server; `Config.from_environment(os.environ, port="8081")`."""

    # --- where
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on", _count)
    public_url: str = _setting(
        "", "how clients reach the server, before `/fhir`; if empty, host and port", _maybe_url
    )
    database: str = _setting(
        "fhir-b12.db", "SQLite file, `postgresql://…`, or url of a FHIR server to stand in front of"
    )
    workers: int = _setting(1, "processes; more than one needs PostgreSQL", _count)
    local: str = _setting(
        "fhir-b12.db", "in front of another server: path of the SQLite file of clients, tokens, ..."
    )
    upstream_token: str = _setting(
        "", "in front of another server: the bearer token for it", secret=True
    )
    threads: int = _setting(8, "threads of each process", _count)
    proxies: tuple[str, ...] = _setting(
        (), "addresses of proxies whose X-Forwarded headers are believed", _names
    )
    # --- who
    open: bool = _setting(False, "no authorization at all; only on loopback", _truth)
    token_seconds: int = _setting(300, "how long an access token lives", _count)
    jwks_hosts: tuple[str, ...] = _setting(
        (), "hosts from which the keys of clients may be fetched", _names
    )
    audit: bool = _setting(True, "write an AuditEvent for each access", _truth)
    cors: tuple[str, ...] = _setting(
        (), "origins of pages that may call from a browser; `*` for any", _names
    )
    # --- what is accepted
    validation: str = _setting(
        "base", "`off`, `base` or `profile`; for a type: `base,Observation=profile`",
        _by_type(CHECKS),
    )  # fmt: skip
    plausibility: str = _setting(
        "advice", "`off`, `advice` or `error`, for a type as above", _by_type(ADVICE)
    )
    packages: tuple[str, ...] = _setting(
        (), "FHIR packages with the profiles to hold to: `.tgz`, folder or `name#version`", _names
    )
    integrity: bool = _setting(
        False, "references must lead to what is here; nothing referred to is deleted", _truth
    )
    # --- limits
    max_body: int = _setting(32 * _MIB, "bytes of a request's body, unpacked", _count)
    max_ratio: int = _setting(100, "how many times its size a packed body may unfold to", _count)
    max_entries: int = _setting(10_000, "entries of a batch or transaction", _count)
    max_answer: int = _setting(
        64 * _MIB, "bytes of an answer after which the entries of a batch are asked no more", _count
    )
    max_header: int = _setting(32 * _KIB, "bytes of a request's headers", _count)
    max_query: int = _setting(16 * _KIB, "characters of a query", _count)
    max_parameters: int = _setting(200, "parameters of a query", _count)
    count: int = _setting(20, "matches on a page, if not asked for", _count)
    max_count: int = _setting(1000, "matches on a page at most", _count)
    rate: int = _setting(
        0, "requests a minute of each client, or address, to each process; 0: no bound", _count
    )
    timeout: int = _setting(60, "seconds after which a silent connection is closed", _count)
    grace: int = _setting(20, "seconds to finish what was begun when stopping", _count)
    # --- export
    export_folder: str = _setting(
        "", "folder for bulk export; if empty, one that goes with the server"
    )
    export_seconds: int = _setting(86_400, "how long the files of an export are kept", _count)
    # --- seen from outside
    metrics: bool = _setting(False, "serve `/metrics` for Prometheus", _truth)
    slow: int = _setting(1000, "milliseconds after which a request is logged as slow", _count)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **options: Any) -> "Config":
        """The settings of options first, then of the variables, then the defaults.

        An option that is None was not given; one that is a text is read as a variable is.

        Raises:
            ConfigError: settings that cannot be used, all of them.

        """
        found: dict[str, Any] = {}
        wrong: list[str] = []
        for field in dataclasses.fields(cls):
            name = variable(field.name)
            given = options.pop(field.name, None)
            given = environ.get(name) if given is None else given
            try:
                if given is not None:
                    read = field.metadata["read"]
                    found[field.name] = read(given) if isinstance(given, str) else given
            except ValueError as error:
                wrong.append(f"{name}: {error}")
        wrong += [f"{variable(name)}: there is no such setting" for name in options]
        if wrong:
            raise ConfigError("\n".join(wrong))
        return cls(**found)

    @property
    def store(self) -> str:
        """`sqlite`, `postgres` or `proxy.store`: what keeps the resources."""
        return _STORES.get(self.database.partition("://")[0], "sqlite")

    @cached_property
    def base(self) -> str:
        """The FHIR base url, without a slash at its end; never taken from a request."""
        return f"{self.root}/fhir"

    @cached_property
    def root(self) -> str:
        """What stands before `/fhir`, `/therapy` and `/auth`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    def check(self, kind: str) -> str:
        """`off`, `base` or `profile`: what a resource of this type is held to."""
        return _chosen(self.validation, kind, "base")

    def advice(self, kind: str) -> str:
        """`off`, `advice` or `error`: what becomes of a resource that looks mistaken."""
        return _chosen(self.plausibility, kind, "advice")


@lru_cache(maxsize=256)
def _chosen(text: str, kind: str, otherwise: str) -> str:
    """The last part that names the type; else the last that names none."""
    rows = dict(part.rpartition("=")[::2] for part in _names(text))
    return rows.get(kind, rows.get("", otherwise))


def variable(name: str) -> str:
    """`public_url` is set by `FHIR_B12_PUBLIC_URL`."""
    return PREFIX + name.upper()


def table() -> str:
    """All settings as the table of `docs/server.md`."""
    head = ("| variable | default | |", "|---|---|---|")
    rows = (
        f"| `{variable(field.name)}` | {_shown(field.default)} | {field.metadata['doc']} |"
        for field in dataclasses.fields(Config)
    )
    return "\n".join((*head, *rows)) + "\n"


def _shown(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"`{text}`" if text else ""
