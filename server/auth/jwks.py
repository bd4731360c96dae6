"""Keys that a client keeps at an address of its own: fetched from hosts that the site names.

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
from fhir_b12.server.auth.clients import checked_keys
from fhir_b12.server.config import ConfigError

_LIFE = 600  #: seconds for which keys are believed without asking again
_PAUSE = 60  #: seconds between two questions, whoever wants a key that is not there
_MOST_BYTES = 65_536
_SECONDS = 3  #: for a connection, and for each part of the answer
_WHOLE = 6  #: seconds for all of it


class _Held(NamedTuple):
    asked: float  #: when, in seconds of the clock that never goes back
    got: float  #: when the answer was one
    keys: list[dict[str, Any]]


class Jwks:
    """The keys behind urls; of several threads that want the same one asks."""

    def __init__(self, hosts: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts, self._clock = hosts, clock
        self._held: dict[str, _Held] = {}
        self._asking: dict[str, Lock] = {}

    def keys(self, url: str, kid: Any) -> list[dict[str, Any]]:
        """The keys; asked for again where they are old, or where none is named `kid`."""
        with self._asking.setdefault(url, Lock()):
            now = self._clock()
            held = self._held.get(url, _Held(-_LIFE, -_LIFE, []))
            is_fresh = now - held.got < _LIFE
            if is_fresh and any(each["kid"] == kid for each in held.keys):
                return held.keys
            if now - held.asked >= _PAUSE:
                keys = self._fetched(url)
                # an address that does not answer takes nobody's keys away
                held = _Held(now, held.got, held.keys) if keys is None else _Held(now, now, keys)
                self._held[url] = held
            return held.keys if now - held.got < _LIFE else []

    def _fetched(self, url: str) -> list[dict[str, Any]] | None:
        try:
            check(url, self._hosts)
            _hold_public(url)
            return checked_keys(loads(_read(url)))
        except (ConfigError, JsonError, OSError):
            return None


def check(url: str, hosts: tuple[str, ...]) -> None:
    """Refuse an address that the site does not trust.

    Raises:
        ConfigError: it is not https, names a user or a fragment, or a host that is not listed.

    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.username is not None or parts.fragment:
        raise ConfigError("keys are fetched by https, without user and fragment")
    if parts.netloc not in hosts:
        raise ConfigError("keys are fetched from the hosts in FHIR_B12_JWKS_HOSTS alone")


def _hold_public(url: str) -> None:
    """Refuse a name that leads into this network.

    That it leads elsewhere a moment later gains nothing: the certificate must be the name's.
    """
    parts = urlsplit(url)
    found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    if not all(is_public(str(each[4][0])) for each in found):
        raise ConfigError("the host is within this network")


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's."""
    found = ip_address(address.partition("%")[0])
    return found.is_global and not found.is_multicast


def _read(url: str) -> bytes:
    """The body of a 200; OSError for anything else, and for too much or too late."""
    end = time.monotonic() + _WHOLE
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    with requests.get(
        url, headers=headers, timeout=_SECONDS, stream=True, allow_redirects=False
    ) as answer:
        if answer.status_code != 200:
            raise OSError
        body = b""
        for part in answer.iter_content(4096):
            body += part
            if len(body) > _MOST_BYTES or time.monotonic() > end:
                raise OSError
    return body
