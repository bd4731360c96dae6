"""Output for a terminal alone: drawn tables and progress."""

import os
import pty
import subprocess
import sys

from fhir_b12.jsonio import dumps
from tests.cli.shell import call


def test_tables_are_drawn_for_a_terminal(demo_folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    patient = {"resourceType": "Patient", "gender": "female"}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient}]}
    drawn = call("explain", "-", stdin=dumps(bundle), terminal=True)[1]
    assert "entry[0] by patient.toml" in drawn
    assert "resource.gender" in drawn
    assert "\t" not in drawn
    titles = call("mappings", "lab_result", terminal=True)[1]
    assert titles.startswith("lab_result: Observation <-> LabResult, if category means ")


def test_progress_is_shown_only_on_a_terminal(demo_folder):
    command = [sys.executable, "-m", "fhir_b12", "from-fhir", "resources.ndjson", "-o", "r.ndjson"]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
    controller, terminal = pty.openpty()
    subprocess.run(command, stderr=terminal, check=True)
    os.close(terminal)
    assert b"lines" in os.read(controller, 65536)
    os.close(controller)
