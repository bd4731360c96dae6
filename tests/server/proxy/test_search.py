import pytest

from fhir_b12.server.app import create_app
from tests.server.fhir.conftest import CONFIG, Client
from tests.server.proxy.upstream import ProxyWithUpstream
from tests.server.search.cases import RESOURCES
from tests.server.search.test_search import *  # noqa: F403


@pytest.fixture(scope="module")
def client():
    store = ProxyWithUpstream(CONFIG)
    client = Client(create_app(CONFIG, store))
    for resource in RESOURCES:
        assert (
            client.put(f"{resource['resourceType']}/{resource['id']}", resource).status_code == 201
        )
    yield client
    store.close()
