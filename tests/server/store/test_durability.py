"""Acknowledged changes survive kills and restarts; see `python -m tests.server.durability`."""

import pytest

from tests.requirements import skipif_missing
from tests.server import durability
from tests.server.cluster import programs
from tests.server.temporary import POSTGRES

pytestmark = pytest.mark.slow


def test_a_killed_server_loses_no_acknowledged_change(capsys):
    assert durability.survives_kills(10, workers=4 if POSTGRES else 1)
    assert "killed 10 times" in capsys.readouterr().out


@skipif_missing(not POSTGRES or programs() is None, "PostgreSQL", "see `make test-postgres`")
def test_a_restarted_database_loses_no_acknowledged_change(capsys):
    assert durability.survives_restarts(4)
    assert "restarted 4 times" in capsys.readouterr().out
