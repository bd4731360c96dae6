"""Fixtures: this server as a proxy of another instance of itself, on loopback."""

from dataclasses import replace
from itertools import count

import pytest

from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from tests.server.auth.conftest import Server
from tests.server.fhir.conftest import CONFIG, Client
from tests.server.proxy.upstream import ProxyWithUpstream


@pytest.fixture
def store():
    store = ProxyWithUpstream(Config(public_url="https://fhir.clinic.test"))
    yield store
    store.close()


@pytest.fixture
def create_client():
    """Return a function that starts a proxy with settings and returns its client."""
    stores = []
    # from 2026 on, a second per write
    upstream_clock, clock = (count(1_767_225_600_000_000, 1_000_000) for _ in range(2))

    def start(**settings):
        config = replace(CONFIG, **settings)
        stores.append(ProxyWithUpstream(config, clock=lambda: next(upstream_clock)))
        return Client(create_app(config, stores[-1], clock=lambda: next(clock)))

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def client(create_client):
    return create_client()


@pytest.fixture(scope="module")
def server():
    server = Server(ProxyWithUpstream)
    yield server
    server.store.close()


@pytest.fixture
def new_server():
    server = Server(ProxyWithUpstream)
    yield server
    server.store.close()
