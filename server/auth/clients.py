"""Clients: registered with their public keys and with what they may do.

https://hl7.org/fhir/smart-app-launch/backend-services.html#register
"""

import re
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_b12.server.auth.scopes import ScopeError, grants
from fhir_b12.server.config import ConfigError
from fhir_b12.server.wire.ids import is_id

#: https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html
ALGORITHMS = {"RSA": "RS384", "EC": "ES384"}
_NAME = re.compile(r"[A-Za-z0-9._\-]{1,64}\Z")
_LEAST_BITS = 2048


def checked_keys(value: Any) -> list[dict[str, Any]]:
    """The public keys of a JWKS that may be used here.

    Raises:
        ConfigError: it is no JWKS, a key is private, weak, without a name, or of another kind.

    """
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not keys:
        raise ConfigError("the file is no JWKS: an object with a list of keys")
    names = [each.get("kid") if isinstance(each, dict) else None for each in keys]
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise ConfigError("each key of a JWKS needs a kid of its own")
    for each in keys:
        if "d" in each or each.get("kty") not in ALGORITHMS:
            raise ConfigError("a JWKS here holds public keys, RSA or EC; keep the private one")
        key_of(each)
    return keys


def key_of(value: dict[str, Any]) -> RSAKey | ECKey:
    """A key that is good enough, read."""
    try:
        if value["kty"] == "EC":
            if value.get("crv") != "P-384":
                raise ConfigError("an EC key is on P-384 here, for ES384")
            return ECKey.import_key(value)
        key = RSAKey.import_key(value)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("a key of the JWKS cannot be read") from error
    if key.raw_value.key_size < _LEAST_BITS:
        raise ConfigError(f"an RSA key has {_LEAST_BITS} bits at least")
    return key


def registered(name: str, scope: str, keys: Any, patient: str | None) -> dict[str, Any]:
    """A client as it is kept; its keys are a JWKS, or the url of one.

    Raises:
        ConfigError: something of it cannot be used.

    """
    if not _NAME.match(name):
        raise ConfigError("a client's id has 1 to 64 of A-Z a-z 0-9 . _ -")
    try:
        held = grants(scope)
    except ScopeError as error:
        raise ConfigError(str(error)) from error
    levels = {each.level for each in held}
    if levels != ({"patient"} if patient else {"system"}):
        message = "a client of one patient has scopes patient/…, any other has system/…"
        raise ConfigError(message)
    if patient is not None and not is_id(patient):
        raise ConfigError("the patient is named by the id alone")
    client: dict[str, Any] = {"id": name, "scope": scope}
    client |= {"jwks_uri": keys} if isinstance(keys, str) else {"keys": checked_keys(keys)}
    return client | ({"patient": patient} if patient else {})
