"""A server in a process of its own, on loopback."""

import pytest

from tests.server.durability import serve


@pytest.fixture(scope="package")
def base(tmp_path_factory):
    process, port = serve(tmp_path_factory.mktemp("served") / "try.db")
    yield f"http://127.0.0.1:{port}/fhir"
    process.terminate()
    assert process.wait(30) == 0
