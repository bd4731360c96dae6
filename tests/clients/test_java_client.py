"""Run the generic client of HAPI FHIR (Maven): `java/Hapi.java`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.requirements import skipif_missing

HERE = Path(__file__).parent / "java"
#: a JDK is required, because `java` compiles the source file
MISSING = [name for name in ("mvn", "javac") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    skipif_missing(bool(MISSING), "Java", f"install {' and '.join(MISSING)}"),
]
STEPS = [
    "create", "capabilities", "read", "update", "vread", "stale update", "conditional create",
    "conditional update", "patch", "return preferences", "transaction", "transaction of resources",
    "batch", "search", "pages", "totals", "parts", "history", "validate", "everything", "invalid",
    "delete", "unknown",
]  # fmt: skip


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("java")
    shutil.copy(HERE / "pom.xml", folder)
    command = ["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath"]
    subprocess.run(command, cwd=folder, check=True)
    return (folder / "classpath").read_text().strip()


def test_the_hapi_client_does_what_an_ehr_does(base, classes):
    command = ["java", "-cp", classes, str(HERE / "Hapi.java"), base]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (completed.returncode, completed.stdout.splitlines()) == (0, STEPS), completed.stderr
