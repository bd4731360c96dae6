"""Authorization by bearer token.  https://www.rfc-editor.org/rfc/rfc6750"""

import re
from collections.abc import Callable
from functools import lru_cache

from flask import Request, Response

from fhir_b12.jsonio import dumps
from fhir_b12.server.auth.authorizer import PublicRoute
from fhir_b12.server.auth.clients import ALGORITHMS
from fhir_b12.server.auth.scopes import Grant, ScopedAccess, parse_scopes
from fhir_b12.server.auth.token_endpoint import TokenEndpoint, hash_token
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.store import Access, Store
from fhir_b12.server.wire.response import json_response

_BEARER = re.compile(r"bearer ([A-Za-z0-9\-._~+/]{16,512}=*)", re.IGNORECASE)
#: FHIR clients look below the FHIR base, others at the root
_WELL_KNOWN = ("/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration")


class TokenAuthorizer:
    """Authorizes requests by the access tokens that this server issued."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock
        endpoint = TokenEndpoint(config, store, clock)
        self._token_url = endpoint.url
        self.routes = (
            PublicRoute("POST", "/auth/token", endpoint.issue_token),
            *(PublicRoute("GET", path, self._smart_configuration) for path in _WELL_KNOWN),
        )

    def authorize(self, request: Request) -> Access:
        """Return what the access token of a request allows.

        Raises:
            RequestError: 401 if the token is missing, unknown, expired, or its client was removed.

        """
        match = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
        token = self._store.token(hash_token(match[1])) if match else None
        if token is None or token["until"] <= self._clock() // 1_000_000:
            raise self._unauthorized(has_token=match is not None)
        client = self._store.client(token["client"])
        if client is None:
            raise self._unauthorized(has_token=True)
        return ScopedAccess(client["id"], _parsed_scopes(token["scope"]), client.get("patient"))

    def _unauthorized(self, *, has_token: bool) -> RequestError:
        """Build the 401 response.  https://www.rfc-editor.org/rfc/rfc6750#section-3"""
        challenge = f'Bearer realm="{self._config.root}"'
        if has_token:
            challenge += ', error="invalid_token"'
        message = (
            "access token missing, invalid or expired: request one from /auth/token and send it"
            " as Authorization: Bearer TOKEN"
        )
        return RequestError(401, "login", message, headers={"WWW-Authenticate": challenge})

    def _smart_configuration(self, request: Request) -> Response:  # noqa: ARG002
        """Return what is supported.  https://hl7.org/fhir/smart-app-launch/conformance.html"""
        response = json_response(
            dumps({
                "token_endpoint": self._token_url,
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS.values()),
                "scopes_supported": ["system/*.cruds", "patient/*.cruds"],
                "capabilities": [
                    "client-confidential-asymmetric", "permission-v1", "permission-v2",
                ],
            })
        )  # fmt: skip
        response.mimetype = "application/json"
        return response


@lru_cache(maxsize=1024)
def _parsed_scopes(scope: str) -> tuple[Grant, ...]:
    return parse_scopes(scope)
