"""Nothing that was acknowledged is lost; `python -m tests.server.durability` does it more often."""

import pytest

from tests.requirements import skipif_missing
from tests.server import durability
from tests.server.cluster import programs
from tests.server.temporary import POSTGRES

pytestmark = pytest.mark.slow


def test_a_server_that_is_killed_loses_nothing_and_tears_nothing(capsys):
    assert durability.killed(10, workers=4 if POSTGRES else 1)
    assert "killed 10 times" in capsys.readouterr().out


@skipif_missing(not POSTGRES or programs() is None, "PostgreSQL", "see `make test-postgres`")
def test_a_database_that_is_restarted_loses_nothing_and_tears_nothing(capsys):
    assert durability.restarted(4)
    assert "restarted 4 times" in capsys.readouterr().out
