"""Run @medplum/core, fhir-kit-client and fhirclient (npm): `node/clients.mjs`."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.requirements import skipif_missing

HERE = Path(__file__).parent / "node"
pytestmark = [
    pytest.mark.slow,
    skipif_missing(shutil.which("npm") is None, "npm", "install it"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    for file in HERE.iterdir():
        shutil.copy(file, folder)
    command = ["npm", "install", "--silent", "--no-package-lock", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def test_three_javascript_clients_do_what_an_ehr_does(base, folder):
    command = ["node", "clients.mjs", base]
    completed = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(completed.stdout) == {"medplum": "ok", "fhirKit": "ok", "smart": "ok"}
