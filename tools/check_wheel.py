"""Build wheel and sdist, install the wheel in a new environment, run the demo from an empty folder.

    python tools/check_wheel.py

An installed wheel lacks what only a checkout has; this finds tables and definitions that the
package does not include.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: files that every wheel must contain, besides the code
NEEDED = (
    "fhir_b12/py.typed",
    "fhir_b12/mappings/mapping.schema.json",
    "fhir_b12/mappings/infusion.toml",
    "fhir_b12/mappings/codes/lab_tests.toml",
    "fhir_b12/definitions/types.json.gz",
    "fhir_b12/server/store/migrations/versions/0001_first_tables.py",
    "fhir_b12/server/therapy/timeline.html",
    "fhir_b12/server/therapy/try.js",
)


def main() -> int:
    """Check both distributions; return 0 if they are complete."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT), quiet=True)
        wheel, sdist = next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))
        absent = missing(wheel, sdist)
        if absent:
            print("\n".join(absent))
            return 1
        python = clean(folder / "clean")
        options = ["--quiet", "--disable-pip-version-check"]
        run(folder, str(python), "-m", "pip", "install", *options, str(wheel))
        empty = folder / "empty"
        empty.mkdir()
        run(empty, str(python.with_name("fhir-b12")), "demo")
        run(folder, str(python), "-m", "pip", "install", *options, f"{wheel}[server]")
        run(empty, str(python.with_name("fhir-b12")), "demo")
        print(f"{wheel.name} and {sdist.name} are complete: the demo runs from an empty folder")
    return 0


def missing(wheel: Path, sdist: Path) -> list[str]:
    """Return a message for each file that a distribution lacks."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    messages = [f"{wheel.name} lacks {name}" for name in NEEDED if name not in names]
    for end in ("licenses/LICENSE", "licenses/NOTICE"):
        messages += (
            [] if any(name.endswith(end) for name in names) else [f"{wheel.name} lacks {end}"]
        )
    with tarfile.open(sdist) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    required = ("LICENSE", "NOTICE", "README.md", "mappings/infusion.toml")
    return messages + [f"{sdist.name} lacks {name}" for name in required if name not in names]


def clean(folder: Path) -> Path:
    """Create an environment and return its interpreter."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def run(folder: Path, *command: str, quiet: bool = False) -> None:
    """Run a command in a folder, away from the checkout."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    output = subprocess.DEVNULL if quiet else None
    subprocess.run(command, cwd=folder, env=keep, check=True, stdout=output)  # noqa: S603 (constants)


if __name__ == "__main__":
    sys.exit(main())
