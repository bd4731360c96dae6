"""A server of ours in front of another of ours, which listens on loopback."""

from dataclasses import replace
from itertools import count

import pytest

from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from tests.server.auth.conftest import Server
from tests.server.fhir.conftest import CONFIG, Client
from tests.server.proxy.behind import InFront


@pytest.fixture
def store():
    found = InFront(Config(public_url="https://fhir.clinic.test"))
    yield found
    found.close()


@pytest.fixture
def serving():
    """Makes a client of a server with settings of its own; the time is that of the one behind."""
    stores = []
    ticks, own = (
        count(1_767_225_600_000_000, 1_000_000) for _ in range(2)
    )  # 2026, a second a write

    def start(**settings):
        config = replace(CONFIG, **settings)
        stores.append(InFront(config, clock=lambda: next(ticks)))
        return Client(create_app(config, stores[-1], clock=lambda: next(own)))

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def client(serving):
    return serving()


@pytest.fixture(scope="module")
def server():
    found = Server(InFront)
    yield found
    found.store.close()


@pytest.fixture
def fresh():
    found = Server(InFront)
    yield found
    found.store.close()
