import pytest

from fhir_b12.server.app import create_app
from tests.server.fhir.conftest import CONFIG
from tests.server.proxy.upstream import ProxyWithUpstream
from tests.server.test_therapy import *  # noqa: F403


@pytest.fixture
def client():
    store = ProxyWithUpstream(CONFIG)
    yield create_app(CONFIG, store).test_client()
    store.close()
