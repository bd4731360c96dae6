"""Keys that a client publishes at a URL, fetched from hosts that the settings allow.

https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
"""

import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

from fhir_b12.jsonio import JsonError, loads
from fhir_b12.server.auth.clients import validate_jwks
from fhir_b12.server.config import ConfigError

_LIFETIME = 600  #: seconds for which fetched keys are valid
_MIN_INTERVAL = 60  #: seconds between two requests to one URL
_MAX_BYTES = 65_536  #: of a response
_TIMEOUT = 3  #: seconds for the connection, and for each read
_TOTAL_TIMEOUT = 6  #: seconds for the whole response


class _Cached(NamedTuple):
    requested: float  #: time of the last request, seconds of a monotonic clock
    fetched: float  #: time of the last successful one
    keys: list[dict[str, Any]]


class JwksCache:
    """Cache of the keys behind URLs; of concurrent threads only one fetches."""

    def __init__(self, hosts: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts, self._clock = hosts, clock
        self._cached: dict[str, _Cached] = {}
        self._locks: dict[str, Lock] = {}

    def keys(self, url: str, kid: Any) -> list[dict[str, Any]]:
        """Return the keys at a URL; fetch them if they are expired or none has this `kid`.

        Empty if they cannot be fetched and no valid ones are cached.
        """
        with self._locks.setdefault(url, Lock()):
            now = self._clock()
            cached = self._cached.get(url, _Cached(-_LIFETIME, -_LIFETIME, []))
            is_fresh = now - cached.fetched < _LIFETIME
            if is_fresh and any(key["kid"] == kid for key in cached.keys):
                return cached.keys
            if now - cached.requested >= _MIN_INTERVAL:
                keys = self._fetch(url)
                # a failed request does not invalidate the keys that are cached
                cached = cached._replace(requested=now) if keys is None else _Cached(now, now, keys)
                self._cached[url] = cached
            return cached.keys if now - cached.fetched < _LIFETIME else []

    def _fetch(self, url: str) -> list[dict[str, Any]] | None:
        try:
            validate_jwks_url(url, self._hosts)
            _require_public_host(url)
            return validate_jwks(loads(_download(url)))
        except (ConfigError, JsonError, OSError):
            return None


def validate_jwks_url(url: str, hosts: tuple[str, ...]) -> None:
    """Check that keys may be fetched from a URL.

    Raises:
        ConfigError: it is not https, has a user or fragment, or its host is not one of `hosts`.

    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.username is not None or parts.fragment:
        raise ConfigError("the URL of a JWKS must be https, without user and fragment")
    if parts.netloc not in hosts:
        message = "the host of the JWKS is not allowed: add it to FHIR_B12_JWKS_HOSTS"
        raise ConfigError(message)


def _require_public_host(url: str) -> None:
    """Raise ConfigError if a host resolves to an address that is not public.

    A host that resolves otherwise a moment later gains nothing: the certificate must match it.

    Raises:
        ConfigError: it resolves to a private address.

    """
    parts = urlsplit(url)
    addresses = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    if not all(is_public(str(address[4][0])) for address in addresses):
        raise ConfigError("the host of the JWKS has a private address: publish it on a public one")


def is_public(address: str) -> bool:
    """Return True if an IP address is a public one."""
    ip = ip_address(address.partition("%")[0])
    return ip.is_global and not ip.is_multicast


def _download(url: str) -> bytes:
    """Return the body of a 200; raise OSError for anything else, or if it is too large or slow.

    Raises:
        OSError: the status is not 200, or the body is too large or too slow.

    """
    end = time.monotonic() + _TOTAL_TIMEOUT
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    with requests.get(
        url, headers=headers, timeout=_TIMEOUT, stream=True, allow_redirects=False
    ) as response:
        if response.status_code != 200:
            raise OSError
        body = b""
        for chunk in response.iter_content(4096):
            body += chunk
            if len(body) > _MAX_BYTES or time.monotonic() > end:
                raise OSError
    return body
