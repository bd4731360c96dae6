"""Nothing that was acknowledged is lost; `python -m tests.server.durability` does it 100 times."""

import pytest

from tests.server import durability


@pytest.mark.slow
def test_a_server_that_is_killed_loses_nothing_and_tears_nothing(capsys):
    assert durability.main(10)
    assert "killed 10 times" in capsys.readouterr().out
