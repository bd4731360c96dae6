"""Access tokens for clients that authenticate by a signed assertion.

https://hl7.org/fhir/smart-app-launch/backend-services.html
https://www.rfc-editor.org/rfc/rfc7523
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from flask import Request, Response
from joserfc import jwt
from joserfc.errors import JoseError

from fhir_b12.server.auth.clients import ALGORITHMS, import_key
from fhir_b12.server.auth.jwks import JwksCache
from fhir_b12.server.auth.scopes import ScopeError, intersect, parse_scopes
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.store import Store
from fhir_b12.server.wire.body import read_body
from fhir_b12.server.wire.media_types import FORM, require_media_type
from fhir_b12.server.wire.query import parse_form
from fhir_b12.server.wire.response import json_response

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MAX_ASSERTION = 8_000  #: characters
_MAX_LIFETIME = 300  #: seconds between now and the expiry of an assertion
_CLOCK_SKEW = 30  #: seconds by which the clocks of client and server may differ
_PARAMETERS = {"grant_type", "scope", "client_assertion_type", "client_assertion"}


class OAuthError(Exception):
    """An error response of OAuth.  https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


class InvalidClientError(OAuthError):
    """Failed authentication of a client; the message does not say what failed."""

    def __init__(self) -> None:
        message = (
            "client unknown, or its assertion is invalid, expired, used or for another audience"
        )
        super().__init__("invalid_client", message, 401)


def hash_token(token: str) -> str:
    """Return the SHA-256 of a token; the store has hashes only, so a copy of it leaks no token."""
    return hashlib.sha256(token.encode()).hexdigest()


class TokenEndpoint:
    """`POST /auth/token`."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._jwks = JwksCache(config.jwks_hosts)
        self.url = f"{config.root}/auth/token"

    def issue_token(self, request: Request) -> Response:
        """Return an access token or an error.  https://www.rfc-editor.org/rfc/rfc6749#section-5"""
        try:
            body, status = self._grant(request), 200
        except OAuthError as error:
            body = {"error": error.error, "error_description": error.description}
            status = error.status
        response = json_response(msgspec.json.encode(body), status)
        response.mimetype = "application/json"
        response.headers["Pragma"] = "no-cache"
        return response

    def _grant(self, request: Request) -> dict[str, Any]:
        """Issue a token for a valid request.

        Raises:
            OAuthError: the request is invalid, or the client is not authenticated.

        """
        form = self._read_form(request)
        if form.get("grant_type") != "client_credentials":
            raise OAuthError("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            message = f"client_assertion_type must be {_ASSERTION_TYPE}"
            raise OAuthError("invalid_request", message)
        client = self._authenticate(form.get("client_assertion", ""))
        try:
            requested = parse_scopes(form.get("scope", ""))
        except ScopeError as error:
            raise OAuthError("invalid_scope", str(error)) from error
        grants = intersect(requested, parse_scopes(client["scope"]))
        if not grants:
            message = "none of the requested scopes is registered for the client"
            raise OAuthError("invalid_scope", message)
        token = secrets.token_urlsafe(32)
        scope = " ".join(map(str, grants))
        lifetime = self._config.token_seconds
        value = {"client": client["id"], "scope": scope}
        self._store.put_token(hash_token(token), self._now() + lifetime, value)
        return {
            "access_token": token, "token_type": "bearer", "expires_in": lifetime, "scope": scope,
        }  # fmt: skip

    def _now(self) -> int:
        """Return seconds since 1970."""
        return self._clock() // 1_000_000

    def _read_form(self, request: Request) -> dict[str, str]:
        """Read the parameters, each once.  https://www.rfc-editor.org/rfc/rfc6749#section-3.2

        Raises:
            OAuthError: the body is not a form, or a parameter occurs twice.

        """
        try:
            require_media_type(request, {FORM})
            pairs = parse_form(read_body(request, self._config), self._config)
        except RequestError as refusal:
            raise OAuthError("invalid_request", refusal.issues[0].message) from refusal
        if request.query_string:
            message = "parameters must be in the body, not in the URL"
            raise OAuthError("invalid_request", message)
        form = dict(pairs)
        if len(form) < len(pairs):
            raise OAuthError("invalid_request", "a parameter occurs twice: send each once")
        return {name: value for name, value in form.items() if name in _PARAMETERS}

    # --- authentication of the client

    def _authenticate(self, assertion: str) -> dict[str, Any]:
        """Return the client that signed an assertion; all failures have the same message.

        Raises:
            InvalidClientError: the client is unknown, or the assertion is not valid.

        """
        header, claims = _decode_unverified(assertion)
        client_id = claims.get("iss")
        client = self._store.client(client_id) if isinstance(client_id, str) else None
        if client is None:
            raise InvalidClientError
        kid = header.get("kid")
        keys = client.get("keys") or self._jwks.keys(client["jwks_uri"], kid)
        key = next((key for key in keys if key["kid"] == kid), None)
        if key is None or header.get("alg") != ALGORITHMS[key["kty"]] or "crit" in header:
            raise InvalidClientError
        try:
            token = jwt.decode(assertion, import_key(key), algorithms=[ALGORITHMS[key["kty"]]])
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidClientError from error
        self._verify_claims(token.claims, client["id"])
        return client

    def _verify_claims(self, claims: dict[str, Any], client_id: str) -> None:
        """Check the claims of an assertion, and that it was not used before.

        Raises:
            InvalidClientError: a claim is wrong, or the assertion was used before.

        """
        now = self._now()
        expiry, jti = _numeric_date(claims.get("exp")), claims.get("jti")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        begins = [_numeric_date(claims[name]) for name in ("nbf", "iat") if name in claims]
        is_valid = (
            claims.get("sub") == claims.get("iss") == client_id
            and audiences == [self.url]
            and now - _CLOCK_SKEW < expiry <= now + _MAX_LIFETIME + _CLOCK_SKEW
            and all(0 < begin <= now + _CLOCK_SKEW for begin in begins)
            and isinstance(jti, str)
            and 1 <= len(jti) <= 256
        )
        if not is_valid:
            raise InvalidClientError
        # remembered for as long as the assertion is accepted
        if not self._store.use_once(f"{client_id} {jti}", int(expiry) + 2 * _CLOCK_SKEW):
            raise InvalidClientError


def _numeric_date(value: Any) -> float:
    """Return seconds since 1970, 0 if the value of a claim is invalid."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 2**53 else 0


def _decode_unverified(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Decode header and claims of a JWT, not verified yet.

    Raises:
        InvalidClientError: it is malformed.

    """
    parts = assertion.split(".")
    if len(parts) != 3 or len(assertion) > _MAX_ASSERTION or not assertion.isascii():
        raise InvalidClientError
    objects = []
    for part in parts[:2]:
        try:
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            value = msgspec.json.decode(raw)
        except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
            raise InvalidClientError from error
        if not isinstance(value, dict):
            raise InvalidClientError
        objects.append(value)
    return objects[0], objects[1]
