"""A server with authorization, some patients, and registered clients."""

import json
import time
from itertools import count

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_b12.server.app import create_app
from fhir_b12.server.auth.clients import build_client
from fhir_b12.server.config import Config
from fhir_b12.server.store import Change, FullAccess
from tests.server.fhir.conftest import Client
from tests.server.temporary import Temporary

ROOT = "https://fhir.clinic.test"
TOKEN = f"{ROOT}/auth/token"
KEY = ECKey.generate_key("P-384", {"kid": "one"})
RSA = RSAKey.generate_key(2048, {"kid": "two"})
STRANGER = ECKey.generate_key("P-384", {"kid": "one"})
JWKS = {"keys": [KEY.as_dict(private=False), RSA.as_dict(private=False)]}
_jti = count()


def observation(name, patient, category, **more):
    return {
        "resourceType": "Observation", "id": name, "status": "final", "code": {"text": "B12"},
        "category": [{"coding": [{"code": category}]}],
        "subject": {"reference": f"Patient/{patient}"},
    } | more  # fmt: skip


RESOURCES = [
    {"resourceType": "Patient", "id": "one", "name": [{"family": "Zebedee"}],
     "managingOrganization": {"reference": "Organization/o"}},
    {"resourceType": "Patient", "id": "two", "name": [{"family": "Yolanda"}]},
    {"resourceType": "Organization", "id": "o", "name": "Clinic"},
    observation("lab1", "one", "laboratory"),
    observation("vital1", "one", "vital-signs"),
    observation("lab2", "two", "laboratory"),
]  # fmt: skip
CLIENTS = {
    "reader": ("system/*.rs", None),
    "first": ("system/Observation.read", None),
    "writer": ("system/Observation.cud system/Patient.cu", None),
    "all": ("system/*.cruds", None),
    "labs": ("system/Observation.cruds?category=laboratory", None),
    "results": ("system/Observation.rs", None),
    "of-one": ("patient/*.cruds", "one"),
}


class Server:
    """An application, its store, and a clock that a test may shift."""

    def __init__(self, create_store=Temporary):
        self.config = Config(public_url=ROOT, audit=False, validation="off")
        self.store = create_store(self.config)
        self.shift = 0
        changes = [
            Change(
                method="PUT", type=resource["resourceType"], id=resource["id"], resource=resource
            )
            for resource in RESOURCES
        ]
        self.store.apply(changes, FullAccess(), clock=lambda: 0)
        for name, (scope, patient) in CLIENTS.items():
            self.store.put_client(build_client(name, scope, JWKS, patient))
        self.app = create_app(self.config, self.store, clock=self.clock)
        self.client = Client(self.app)

    @staticmethod
    def seconds():
        return int(time.time())

    def clock(self):
        return (self.seconds() + self.shift) * 1_000_000

    def request_token(self, **form):
        """Return the response of the token endpoint."""
        return self.app.test_client().post("/auth/token", data=form)

    def token(self, name, scope=None):
        response = self.request_token(**token_form(name, scope=scope or CLIENTS[name][0]))
        assert response.status_code == 200, response.data
        return response.json["access_token"]

    def client_as(self, name, scope=None):
        """Return a function that sends requests with a client's token."""
        headers = {"Authorization": f"Bearer {self.token(name, scope)}"}

        def send_request(method, path, body=None, **more):
            return self.client(method, path, body, **headers, **more)

        return send_request


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.store.close()


@pytest.fixture
def new_server():
    server = Server()
    yield server
    server.store.close()


def claims(name, **more):
    now = int(time.time())
    required = {"iss": name, "sub": name, "aud": TOKEN, "exp": now + 240, "jti": f"j{next(_jti)}"}
    return {key: value for key, value in (required | more).items() if value is not None}


def sign(payload, key=KEY, alg="ES384", **header):
    return jwt.encode({"alg": alg, "kid": "one"} | header, payload, key, algorithms=[alg])


def token_form(name, scope="system/*.rs", assertion=None, **more):
    return {
        "grant_type": "client_credentials", "scope": scope,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion or sign(claims(name)),
    } | more  # fmt: skip


def body(value):
    return json.dumps(value)
