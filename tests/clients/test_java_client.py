"""HAPI FHIR's generic client (Maven), by `java/Hapi.java`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.requirements import skipif_missing

HERE = Path(__file__).parent / "java"
#: `java` reads the source itself, which takes a JDK
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
    place = tmp_path_factory.mktemp("java")
    shutil.copy(HERE / "pom.xml", place)
    command = ["mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=classpath"]
    subprocess.run(command, cwd=place, check=True)
    return (place / "classpath").read_text().strip()


def test_the_hapi_client_does_what_an_ehr_does(base, classes):
    command = ["java", "-cp", classes, str(HERE / "Hapi.java"), base]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, STEPS), done.stderr
