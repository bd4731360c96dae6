"""Who sends a request, by the token shown.  https://www.rfc-editor.org/rfc/rfc6750"""

import re
from collections.abc import Callable
from functools import lru_cache

from flask import Flask, Request, Response

from fhir_b12.jsonio import dumps
from fhir_b12.server.auth.clients import ALGORITHMS
from fhir_b12.server.auth.scopes import Grant, Scoped, grants
from fhir_b12.server.auth.token_endpoint import Endpoint, hashed
from fhir_b12.server.config import Config
from fhir_b12.server.errors import refuse
from fhir_b12.server.store import Access, Store
from fhir_b12.server.wire.response import json_response

_BEARER = re.compile(r"bearer ([A-Za-z0-9\-._~+/]{16,512}=*)", re.IGNORECASE)
#: beside FHIR's own, which is served for who looks below the base
_WELL_KNOWN = ("/.well-known/smart-configuration", "/fhir/.well-known/smart-configuration")


class Guard:
    """Believes the tokens that this server gave."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock

    def access(self, request: Request) -> Access:
        """What the token allows; Refusal 401 without one that is alive."""
        found = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
        kept = self._store.token(hashed(found[1])) if found else None
        if kept is None or kept["until"] <= self._clock() // 1_000_000:
            raise self._refusal(shown=found is not None)
        client = self._store.client(kept["client"])
        if client is None:  # it was removed meanwhile
            raise self._refusal(shown=True)
        return Scoped(client["id"], _granted(kept["scope"]), client.get("patient"))

    def _refusal(self, *, shown: bool) -> Exception:
        """https://www.rfc-editor.org/rfc/rfc6750#section-3"""
        told = f'Bearer realm="{self._config.root}"'
        if shown:
            told += ', error="invalid_token"'
        message = "show a token of this server: Authorization: Bearer …"
        return refuse(401, "login", message, WWW_Authenticate=told)

    def serve(self, app: Flask, public: str) -> None:
        """Add the token endpoint, and what tells of it."""
        endpoint = Endpoint(self._config, self._store, self._clock)
        app.add_url_rule("/auth/token", f"{public}token", endpoint.answer, methods=["POST"])
        for number, path in enumerate(_WELL_KNOWN):
            name = f"{public}smart-configuration {number}"
            app.add_url_rule(path, name, lambda: self._told(endpoint.url))

    def _told(self, url: str) -> Response:
        """https://hl7.org/fhir/smart-app-launch/conformance.html"""
        answer = json_response(
            dumps({
                "token_endpoint": url,
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": sorted(ALGORITHMS.values()),
                "scopes_supported": ["system/*.cruds", "patient/*.cruds"],
                "capabilities": [
                    "client-confidential-asymmetric", "permission-v1", "permission-v2",
                ],
            })
        )  # fmt: skip
        answer.mimetype = "application/json"
        return answer


@lru_cache(maxsize=1024)
def _granted(scope: str) -> tuple[Grant, ...]:
    return grants(scope)
