"""The version of the package, and what importing it costs."""

import subprocess
import sys
import tomllib
from pathlib import Path

import fhir_b12

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def test_the_version_is_that_of_the_project():
    assert fhir_b12.__version__ == tomllib.loads(PROJECT.read_text("utf-8"))["project"]["version"]
    assert "__version__" in dir(fhir_b12)


def test_importing_the_package_does_not_look_up_its_version():
    code = "import fhir_b12, sys; sys.exit('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
