"""Build wheel and sdist, install the wheel in a clean environment, and run the demo from nowhere.

    python tools/check_wheel.py

What only a checkout has, an installed wheel lacks: a table or a definition left out of the package
is found here.
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
#: what must stand in every wheel, beside the code
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
    """Check both distributions; 0 where they are whole."""
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
        print(f"{wheel.name} and {sdist.name} are whole: the demo runs from an empty folder")
    return 0


def missing(wheel: Path, sdist: Path) -> list[str]:
    """Each file that a distribution should hold and does not."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    found = [f"{wheel.name} lacks {name}" for name in NEEDED if name not in names]
    for end in ("licenses/LICENSE", "licenses/NOTICE"):
        found += [] if any(name.endswith(end) for name in names) else [f"{wheel.name} lacks {end}"]
    with tarfile.open(sdist) as source:
        held = {name.partition("/")[2] for name in source.getnames()}
    wanted = ("LICENSE", "NOTICE", "README.md", "mappings/infusion.toml")
    return found + [f"{sdist.name} lacks {name}" for name in wanted if name not in held]


def clean(folder: Path) -> Path:
    """A new environment; its interpreter."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def run(folder: Path, *command: str, quiet: bool = False) -> None:
    """Run a command in a folder, away from the checkout."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    output = subprocess.DEVNULL if quiet else None
    subprocess.run(command, cwd=folder, env=keep, check=True, stdout=output)  # noqa: S603 (constants)


if __name__ == "__main__":
    sys.exit(main())
