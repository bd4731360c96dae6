"""Registration of clients: their public keys and their scopes.

https://hl7.org/fhir/smart-app-launch/backend-services.html#register
"""

import re
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_b12.server.auth.scopes import ScopeError, parse_scopes
from fhir_b12.server.config import ConfigError
from fhir_b12.server.wire.ids import is_id

#: https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
ALGORITHMS = {"RSA": "RS384", "EC": "ES384"}
_CLIENT_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}\Z")
_MIN_RSA_BITS = 2048


def validate_jwks(value: Any) -> list[dict[str, Any]]:
    """Return the public keys of a JWKS.  https://www.rfc-editor.org/rfc/rfc7517#section-5

    Raises:
        ConfigError: it is not a JWKS, or a key is private, weak, without a `kid` of its own, or of
            an unsupported type.

    """
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not keys:
        raise ConfigError('not a JWKS: write an object with a list, {"keys": […]}')
    kids = [key.get("kid") if isinstance(key, dict) else None for key in keys]
    if not all(isinstance(kid, str) and kid for kid in kids) or len(set(kids)) < len(kids):
        raise ConfigError(
            "a key of the JWKS has no kid or the kid of another key: add a unique kid"
        )
    for key in keys:
        if "d" in key or key.get("kty") not in ALGORITHMS:
            message = "the JWKS contains a private or unsupported key: use public RSA or EC keys"
            raise ConfigError(message)
        import_key(key)
    return keys


def import_key(jwk: dict[str, Any]) -> RSAKey | ECKey:
    """Import a public key.

    Args:
        jwk: the key as JSON.  https://www.rfc-editor.org/rfc/rfc7517

    Raises:
        ConfigError: the key is malformed or weak.

    """
    if jwk.get("kty") == "EC" and jwk.get("crv") != "P-384":
        raise ConfigError("an EC key of the JWKS is on another curve: use P-384")
    try:
        if jwk["kty"] == "EC":
            return ECKey.import_key(jwk)
        key = RSAKey.import_key(jwk)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("a key of the JWKS is malformed: export it again") from error
    if key.raw_value.key_size < _MIN_RSA_BITS:
        raise ConfigError(f"an RSA key of the JWKS is too short: use {_MIN_RSA_BITS} bits or more")
    return key


def build_client(client_id: str, scope: str, keys: Any, patient_id: str | None) -> dict[str, Any]:
    """Build the registration of a client, as a store has it.

    Args:
        client_id: 1 to 64 of `A-Z a-z 0-9 . _ -`.
        scope: scopes, separated by spaces.
        keys: a JWKS, or the URL of one.
        patient_id: id of the only patient whose data the client may see; None for all.

    Raises:
        ConfigError: one of these is invalid.

    """
    if not _CLIENT_ID.match(client_id):
        raise ConfigError("invalid client id: use 1 to 64 of A-Z a-z 0-9 . _ -")
    try:
        levels = {grant.level for grant in parse_scopes(scope)}
    except ScopeError as error:
        raise ConfigError(str(error)) from error
    if levels != ({"patient"} if patient_id else {"system"}):
        message = "scopes do not match --patient: use patient/… with it, system/… without it"
        raise ConfigError(message)
    if patient_id is not None and not is_id(patient_id):
        raise ConfigError("invalid patient id: write the id alone, without Patient/")
    client: dict[str, Any] = {"id": client_id, "scope": scope}
    client |= {"jwks_uri": keys} if isinstance(keys, str) else {"keys": validate_jwks(keys)}
    return client | ({"patient": patient_id} if patient_id else {})
