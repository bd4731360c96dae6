"""Authorization of requests: by access token, or open to all."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

from flask import Request, Response

from fhir_b12.server.config import Config
from fhir_b12.server.store import Access, FullAccess, Store


class PublicRoute(NamedTuple):
    """A URL that needs no access token, because tokens are requested there."""

    method: str
    path: str
    handler: Callable[[Request], Response]


class Authorizer(Protocol):
    """Decides what the sender of a request may do."""

    #: URLs that the authorizer answers itself
    routes: Sequence[PublicRoute]

    def authorize(self, request: Request) -> Access:
        """Return what the sender of a request may do.

        Raises:
            RequestError: 401 if the sender is unknown.

        """


class OpenAccess:
    """Authorizer of a server started with `--open`: every sender may do everything."""

    routes: Sequence[PublicRoute] = ()

    def authorize(self, request: Request) -> Access:  # noqa: ARG002
        """Return access to everything."""
        return FullAccess()


def create_authorizer(config: Config, store: Store, clock: Callable[[], int]) -> Authorizer:
    """Return the authorizer that the settings ask for: OpenAccess or a TokenAuthorizer.

    `clock` returns µs since 1970.
    """
    if config.open:
        return OpenAccess()
    bearer = import_module("fhir_b12.server.auth.bearer")  # cryptography is slow to import
    authorizer: Authorizer = bearer.TokenAuthorizer(config, store, clock)
    return authorizer
