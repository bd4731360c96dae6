"""A server process on loopback for each store.

On PostgreSQL it has several workers; the upstream of the proxy store is a second server.
"""

import pytest

from tests.server.durability import serve
from tests.server.temporary import POSTGRES, database


@pytest.fixture(scope="package", params=["postgres"] if POSTGRES else ["sqlite", "proxy"])
def base(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    process, port = serve(database(folder), workers=3 if request.param == "postgres" else 1)
    processes = [process]
    if request.param == "proxy":
        process, port = serve(f"http://127.0.0.1:{port}/fhir", local=folder / "own.db")
        processes.append(process)
    yield f"http://127.0.0.1:{port}/fhir"
    for process in reversed(processes):
        process.terminate()
        assert process.wait(30) == 0
