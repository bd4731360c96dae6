"""Tokens for clients that prove who they are by a signed assertion.

https://hl7.org/fhir/smart-app-launch/backend-services.html
https://www.rfc-editor.org/rfc/rfc7523
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable
from typing import Any, NoReturn

import msgspec
from flask import Request, Response, request
from joserfc import jwt
from joserfc.errors import JoseError

from fhir_b12.server.auth.clients import ALGORITHMS, key_of
from fhir_b12.server.auth.jwks import Jwks
from fhir_b12.server.auth.scopes import ScopeError, grants, narrowed
from fhir_b12.server.config import Config
from fhir_b12.server.errors import Refusal
from fhir_b12.server.store import Store
from fhir_b12.server.wire.body import read_body
from fhir_b12.server.wire.media_types import FORM, require_media_type
from fhir_b12.server.wire.query import parse_form
from fhir_b12.server.wire.response import json_response

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST = 8_000  #: characters of an assertion
_LIFE = 300  #: seconds that an assertion may live
_SKEW = 30  #: seconds that two clocks may differ
_KNOWN = {"grant_type", "scope", "client_assertion_type", "client_assertion"}


class OAuthError(Exception):
    """What OAuth answers.  https://www.rfc-editor.org/rfc/rfc6749#section-5.2"""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


def hashed(token: str) -> str:
    """A token as it is kept: who reads the database has no token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Endpoint:
    """`POST /auth/token`"""

    def __init__(self, config: Config, store: Store, clock: Callable[[], int]) -> None:
        self._config, self._store, self._clock = config, store, clock
        self._jwks = Jwks(config.jwks_hosts)
        self.url = f"{config.root}/auth/token"

    def answer(self) -> Response:
        """A token, or why there is none.  https://www.rfc-editor.org/rfc/rfc6749#section-5"""
        try:
            told, status = self._granted(request), 200
        except OAuthError as error:
            told = {"error": error.error, "error_description": error.description}
            status = error.status
        response = json_response(msgspec.json.encode(told), status)
        response.mimetype = "application/json"
        response.headers["Pragma"] = "no-cache"
        return response

    def _granted(self, asked: Request) -> dict[str, Any]:
        given = self._form(asked)
        if given.get("grant_type") != "client_credentials":
            raise OAuthError("unsupported_grant_type", "grant_type is client_credentials here")
        if given.get("client_assertion_type") != _ASSERTION:
            raise OAuthError("invalid_request", f"client_assertion_type is {_ASSERTION}")
        client = self._client(given.get("client_assertion", ""))
        try:
            wanted = grants(given.get("scope", ""))
        except ScopeError as error:
            raise OAuthError("invalid_scope", str(error)) from error
        held = narrowed(wanted, grants(client["scope"]))
        if not held:
            raise OAuthError("invalid_scope", "none of these scopes is registered for the client")
        token = secrets.token_urlsafe(32)
        scope = " ".join(map(str, held))
        life = self._config.token_seconds
        value = {"client": client["id"], "scope": scope}
        self._store.put_token(hashed(token), self._now() + life, value)
        return {
            "access_token": token, "token_type": "bearer", "expires_in": life, "scope": scope,
        }  # fmt: skip

    def _now(self) -> int:
        return self._clock() // 1_000_000

    def _form(self, asked: Request) -> dict[str, str]:
        """Each parameter once.  https://www.rfc-editor.org/rfc/rfc6749#section-3.2"""
        try:
            require_media_type(asked, {FORM})
            pairs = parse_form(read_body(asked, self._config), self._config)
        except Refusal as refusal:
            raise OAuthError("invalid_request", refusal.issues[0].message) from refusal
        if asked.query_string:
            raise OAuthError("invalid_request", "parameters belong in the body, not in the url")
        given = dict(pairs)
        if len(given) < len(pairs):
            raise OAuthError("invalid_request", "a parameter is given twice")
        return {name: value for name, value in given.items() if name in _KNOWN}

    # --- who asks

    def _client(self, assertion: str) -> dict[str, Any]:
        """The client that signed an assertion; every reason why there is none sounds the same."""
        header, claims = _unsigned(assertion)
        name = claims.get("iss")
        client = self._store.client(name) if isinstance(name, str) else None
        if client is None:
            _unknown()
        kid = header.get("kid")
        keys = client.get("keys") or self._jwks.keys(client["jwks_uri"], kid)
        key = next((each for each in keys if each["kid"] == kid), None)
        if key is None or header.get("alg") != ALGORITHMS[key["kty"]] or "crit" in header:
            _unknown()
        try:
            token = jwt.decode(assertion, key_of(key), algorithms=[ALGORITHMS[key["kty"]]])
        except (JoseError, ValueError, TypeError) as error:
            raise _refusal() from error
        self._hold(token.claims, client["id"])
        return client

    def _hold(self, claims: dict[str, Any], name: str) -> None:
        """Refuse a claim that does not hold, and an assertion that was used before."""
        now = self._now()
        ends, jti = _time(claims.get("exp")), claims.get("jti")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        early = [_time(claims[each]) for each in ("nbf", "iat") if each in claims]
        right = (
            claims.get("sub") == claims.get("iss") == name
            and audiences == [self.url]
            and now - _SKEW < ends <= now + _LIFE + _SKEW
            and all(0 < each <= now + _SKEW for each in early)
            and isinstance(jti, str)
            and 1 <= len(jti) <= 256
        )
        if not right:
            _unknown()
        # it can be replayed as long as it is taken for alive
        if not self._store.use_once(f"{name} {jti}", int(ends) + 2 * _SKEW):
            _unknown()


def _time(value: Any) -> float:
    """Seconds since 1970; 0 for what is none."""
    is_one = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**53
    return float(value) if is_one else 0


def _unsigned(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not yet believed."""
    parts = assertion.split(".")
    if len(parts) != 3 or len(assertion) > _LONGEST or not assertion.isascii():
        _unknown()
    found = []
    for part in parts[:2]:
        try:
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            value = msgspec.json.decode(raw)
        except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError) as error:
            raise _refusal() from error
        if not isinstance(value, dict):
            _unknown()
        found.append(value)
    return found[0], found[1]


def _refusal() -> OAuthError:
    message = "the assertion is not one of a registered client, for here and now"
    return OAuthError("invalid_client", message, 401)


def _unknown() -> NoReturn:
    raise _refusal()
