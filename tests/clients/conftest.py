"""A server in a process of its own, on loopback; in several, where PostgreSQL is there."""

import pytest

from tests.server.durability import serve
from tests.server.temporary import POSTGRES, database


@pytest.fixture(scope="package")
def base(tmp_path_factory):
    place = database(tmp_path_factory.mktemp("served"))
    process, port = serve(place, workers=3 if POSTGRES else 1)
    yield f"http://127.0.0.1:{port}/fhir"
    process.terminate()
    assert process.wait(30) == 0
