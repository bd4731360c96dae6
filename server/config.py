"""Settings of the server: variable, default and description; `docs/server.md` lists them."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from fhir_b12.server.resource_types import TYPES
from fhir_b12.suggestions import did_you_mean

PREFIX = "FHIR_B12_"
VALIDATION = ("off", "base", "profile")  #: no validation, R4's own rules, rules of profiles too
PLAUSIBILITY = ("off", "advice", "error")  #: implausible data is ignored, a warning, an error
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}
_SQLITE = "sqlite:///"
#: URL scheme of a database -> module in `store`
_STORES = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "http": "proxy.store",
    "https": "proxy.store",
}
_KIB, _MIB = 1024, 1024**2


class ConfigError(ValueError):
    """Invalid settings; the message lists each with its remedy."""


def is_loopback(host: str) -> bool:
    """Return True if a host name or address is reachable from this machine only."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _parse_bool(text: str) -> bool:
    """Parse a boolean.

    Raises:
        ValueError: it is not a boolean.

    """
    lowered = text.strip().lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return lowered in _TRUE


def _parse_int(text: str) -> int:
    """Parse a whole number.

    Raises:
        ValueError: it is not a whole number.

    """
    if not text.strip().isdecimal():
        raise ValueError("must be a whole number")
    return int(text)


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parse_url(text: str) -> str:
    """Return a URL without a slash at its end; empty if none is set.

    Raises:
        ValueError: it is not an http or https URL, or has a query.

    """
    if not text.strip():
        return ""
    parts = urlsplit(text.strip())
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be an absolute http or https URL without query")
    return text.strip().rstrip("/")


def _parse_database(text: str) -> str:
    return text.strip().removeprefix(_SQLITE)


def _parse_rules(choices: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser of `CHOICE`, `TYPE=CHOICE`, separated by commas."""

    def parse(text: str) -> str:
        for part in _parse_list(text):
            resource_type, _, choice = part.rpartition("=")
            if choice not in choices:
                raise ValueError(f"must be one of {', '.join(choices)}, or TYPE=CHOICE")
            if resource_type and resource_type not in TYPES:
                hint = did_you_mean(resource_type, TYPES)
                raise ValueError(f"{resource_type} is not a supported resource type{hint}")
        return text.strip()

    return parse


def _setting(
    default: Any, doc: str, parse: Callable[[str], Any] = str.strip, *, secret: bool = False
) -> Any:
    metadata = {"doc": doc, "parse": parse}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one server; `Config.from_environment(os.environ, port="8081")`."""

    # --- network and database
    host: str = _setting("127.0.0.1", "address to listen on")
    port: int = _setting(8080, "port to listen on", _parse_int)
    public_url: str = _setting(
        "", "URL at which clients reach the server, without `/fhir`; by default host and port",
        _parse_url,
    )  # fmt: skip
    database: str = _setting(
        "fhir-b12.db",
        "SQLite file, `sqlite:///…`, `postgresql://…`, or the URL of a FHIR server to proxy",
        _parse_database,
    )
    workers: int = _setting(1, "number of processes; more than 1 requires PostgreSQL", _parse_int)
    local: str = _setting(
        "fhir-b12.db", "as a proxy: SQLite file for clients, tokens, exports and AuditEvents"
    )
    upstream_token: str = _setting("", "as a proxy: bearer token for the upstream", secret=True)
    threads: int = _setting(8, "threads per process", _parse_int)
    proxies: tuple[str, ...] = _setting(
        (), "addresses of reverse proxies whose X-Forwarded-For is trusted", _parse_list
    )
    # --- authorization
    open: bool = _setting(False, "no authorization; allowed on loopback only", _parse_bool)
    token_seconds: int = _setting(300, "lifetime of an access token, in seconds", _parse_int)
    jwks_hosts: tuple[str, ...] = _setting(
        (), "hosts from which keys of clients (JWKS) may be fetched", _parse_list
    )
    audit: bool = _setting(True, "store an AuditEvent for every access", _parse_bool)
    cors: tuple[str, ...] = _setting(
        (), "origins of web pages that may call the server; `*` for all", _parse_list
    )
    # --- validation
    validation: str = _setting(
        "base", "`off`, `base` or `profile`; per type: `base,Observation=profile`",
        _parse_rules(VALIDATION),
    )  # fmt: skip
    plausibility: str = _setting(
        "advice", "`off`, `advice` or `error`; per type as above", _parse_rules(PLAUSIBILITY)
    )
    packages: tuple[str, ...] = _setting(
        (), "FHIR packages with profiles to validate against: `.tgz`, folder or `name#version`",
        _parse_list,
    )  # fmt: skip
    integrity: bool = _setting(
        False, "referential integrity: refuse dangling references and deletes that leave them",
        _parse_bool,
    )  # fmt: skip
    # --- limits
    max_body: int = _setting(32 * _MIB, "maximum bytes of a request body, unpacked", _parse_int)
    max_ratio: int = _setting(100, "maximum ratio of unpacked to packed body", _parse_int)
    max_entries: int = _setting(10_000, "maximum entries of a batch or transaction", _parse_int)
    max_answer: int = _setting(
        64 * _MIB, "bytes of a response after which further batch entries are answered 413",
        _parse_int,
    )  # fmt: skip
    max_header: int = _setting(32 * _KIB, "maximum bytes of request headers", _parse_int)
    max_query: int = _setting(16 * _KIB, "maximum characters of a query", _parse_int)
    max_parameters: int = _setting(200, "maximum parameters of a query", _parse_int)
    count: int = _setting(20, "matches per page if `_count` is missing", _parse_int)
    max_count: int = _setting(1000, "maximum matches per page", _parse_int)
    rate: int = _setting(
        0, "maximum requests per minute, client and process; 0 for no limit", _parse_int
    )
    timeout: int = _setting(60, "seconds after which an idle connection is closed", _parse_int)
    grace: int = _setting(20, "seconds for requests in progress at shutdown", _parse_int)
    # --- export
    export_folder: str = _setting(
        "", "folder of export files; by default a temporary one, deleted at shutdown"
    )
    export_seconds: int = _setting(
        86_400, "seconds after which export files are deleted", _parse_int
    )
    # --- monitoring
    metrics: bool = _setting(False, "serve `/metrics` for Prometheus", _parse_bool)
    slow: int = _setting(1000, "milliseconds from which a request is logged as `slow`", _parse_int)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], **options: Any) -> "Config":
        """Read the settings: options first, then variables, then defaults.

        Args:
            environ: the environment variables.
            options: values by the name of the field; None if not given, a text is parsed.

        Raises:
            ConfigError: invalid settings, all of them.

        """
        values: dict[str, Any] = {}
        errors: list[str] = []
        for field in dataclasses.fields(cls):
            name = variable(field.name)
            value = options.pop(field.name, None)
            value = environ.get(name) if value is None else value
            try:
                if value is not None:
                    parse = field.metadata["parse"]
                    values[field.name] = parse(value) if isinstance(value, str) else value
            except ValueError as error:
                errors.append(f"{name}: {error}")
        known = [field.name for field in dataclasses.fields(cls)]
        errors += [
            f"{variable(name)}: unknown setting{did_you_mean(name, known)}" for name in options
        ]
        if errors:
            raise ConfigError("\n".join(errors))
        return cls(**values)

    @property
    def store(self) -> str:
        """Module of the store: `sqlite`, `postgres` or `proxy.store`."""
        return _STORES.get(self.database.partition("://")[0], "sqlite")

    @cached_property
    def base(self) -> str:
        """FHIR base URL, without a slash at its end; never taken from a request."""
        return f"{self.root}/fhir"

    @cached_property
    def root(self) -> str:
        """URL before `/fhir`, `/therapy` and `/auth`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    def check(self, resource_type: str) -> str:
        """Return how a type is validated: `off`, `base` or `profile`."""
        return _rule_of(self.validation, resource_type, "base")

    def advice(self, resource_type: str) -> str:
        """Return how implausible resources of a type are treated: `off`, `advice` or `error`."""
        return _rule_of(self.plausibility, resource_type, "advice")


@lru_cache(maxsize=256)
def _rule_of(text: str, resource_type: str, default: str) -> str:
    """Return the last rule for a type, else the last rule for all types."""
    rules = dict(part.rpartition("=")[::2] for part in _parse_list(text))
    return rules.get(resource_type, rules.get("", default))


def variable(name: str) -> str:
    """Return the environment variable of a setting: `FHIR_B12_PUBLIC_URL` of `public_url`."""
    return PREFIX + name.upper()


def table() -> str:
    """Return all settings as the table in `docs/server.md`."""
    head = ("| variable | default | meaning |", "|---|---|---|")
    rows = (
        f"| `{variable(field.name)}` | {_format_default(field.default)} | {field.metadata['doc']} |"
        for field in dataclasses.fields(Config)
    )
    return "\n".join((*head, *rows)) + "\n"


def _format_default(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    text = ",".join(value) if isinstance(value, tuple) else str(value)
    return f"`{text}`" if text else ""
