"""What every test may ask for: the folder of public examples."""

import os
from pathlib import Path

import pytest


def fixtures_root() -> Path:
    """The folder of public examples and suites; it need not exist."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    return Path(os.environ.get("FHIR_B12_FIXTURES") or beside)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    root = fixtures_root()
    if not root.is_dir():
        pytest.skip(f"no folder {root}; set FHIR_B12_FIXTURES")
    return root
