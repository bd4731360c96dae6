"""Run tests in a copy of the project, within bounds of time and memory."""

import compileall
import contextlib
import os
import py_compile
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import fixtures_root

#: what a copy is made of
TREES = ("fhir_b12", "server", "mappings", "profiles", "tests", "tools", "docs")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md")
_MEMORY = 4 << 30
_BY_HASH = py_compile.PycInvalidationMode.CHECKED_HASH


@dataclass(frozen=True)
class Run:
    """The outcome of one run of tests."""

    passed: bool
    timed_out: bool
    seconds: float  #: of processor time
    output: str


class Copy:
    """A copy of the project in which modules are replaced by mutants."""

    def __init__(self, root: Path, folder: Path):
        self._folder = folder
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        for name in TREES:
            shutil.copytree(
                root / name,
                folder / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules", "target"),
            )
        for name in FILES:
            shutil.copy2(root / name, folder / name)
        # in a checkout the installed package leads to these folders; a copy must not reach it
        for name in ("mappings", "profiles"):
            (folder / "fhir_b12" / name).symlink_to(f"../{name}")
        for name in TREES:
            compileall.compile_dir(folder / name, quiet=2, invalidation_mode=_BY_HASH)

    @contextlib.contextmanager
    def replaced(self, file: str, source: str):
        """Hold other source in a file, then the former source again."""
        path = self._folder / file
        before = path.read_text("utf-8")
        path.write_text(source, "utf-8")
        try:
            yield
        finally:
            path.write_text(before, "utf-8")

    def run(self, tests: tuple[str, ...], cpu_limit: float) -> Run:
        """Run tests until the first failure.

        Args:
            tests: files or folders of tests, run in this order
            cpu_limit: seconds of processor time after which the run is ended

        """
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=short"]
        command += ["-p", "no:cacheprovider", *tests]
        environment = os.environ | {
            "PYTHONPATH": str(self._folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "FHIR_B12_FIXTURES": str(fixtures_root()),
            "XDG_CACHE_HOME": str(self._temporary / "cache"),
            "TMPDIR": str(self._temporary),
        }
        log = self._temporary / "output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            _limit(process.pid, cpu_limit)
            status, seconds, timed_out = _wait(process, wall_limit=30 + 4 * cpu_limit)
        text = log.read_text("utf-8", "replace")
        for path in self._temporary.iterdir():
            if path.name != "cache":
                shutil.rmtree(path, ignore_errors=True)
        return Run(status == 0, timed_out, seconds, text)


def _limit(pid: int, cpu_limit: float) -> None:
    """Bound the processor time and the memory of a run and of each process that it starts."""
    seconds = int(cpu_limit) + 1
    resource.prlimit(pid, resource.RLIMIT_CPU, (seconds, seconds))
    resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _wait(process: subprocess.Popen, wall_limit: float) -> tuple[int, float, bool]:
    """Wait for the end of a run: its status, its seconds of processor time, whether time was up."""
    deadline = time.monotonic() + wall_limit
    timed_out = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline and not timed_out:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):  # servers that the tests had started
        os.killpg(process.pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    is_over_limit = code in {-signal.SIGKILL, -signal.SIGXCPU}
    return code, usage.ru_utime + usage.ru_stime, timed_out or is_over_limit
