"""What every test may ask for: the folder of public examples."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.requirements import EXAMPLES, count_missing, required_but_missing, skip_missing

#: The same examples each time, and a failing one is shown as it was drawn: shrinking records takes
#: minutes. `HYPOTHESIS_PROFILE=explore` draws new ones and shrinks.
_QUICK = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile(
    "default", derandomize=True, phases=(Phase.explicit, Phase.generate), **_QUICK
)
settings.register_profile("explore", max_examples=1000, **_QUICK)
settings.register_profile("thorough", settings.get_profile("default"))
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
settings.load_profile(_PROFILE)


def examples(number: int) -> settings:
    """Settings of a property: so many examples in `make slow`, a quarter of them in `make test`."""
    return settings(max_examples=number if _PROFILE != "default" else max(number // 4, 5))


# The definitions of R4 and 12,000 tests are millions of objects, and a full collection visits them
# all: about a second, many times a run. Nothing is freed while tests are collected, and what exists
# by then is never visited again.
gc.disable()


def pytest_collection_finish():
    """Exclude all objects that exist from garbage collection, and turn it on."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests that draw examples, so that `make slow` runs them with more."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("drawn")


def fixtures_root() -> Path:
    """The folder of public examples and suites; it need not exist."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    return Path(os.environ.get("FHIR_B12_FIXTURES") or beside)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    root = fixtures_root()
    if not root.is_dir():
        skip_missing(EXAMPLES, f"no folder {root}; set FHIR_B12_FIXTURES")
    return root


def _skipped(config) -> dict[str | None, int]:
    """How many tests were skipped for want of what."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return count_missing(reporter.stats.get("skipped", ())) if reporter else {}


def pytest_terminal_summary(terminalreporter, config):
    """Report how many tests were skipped for want of what."""
    names = _skipped(config)
    counts = [
        f"{name or 'other reasons'} {number}" for name, number in sorted(names.items(), key=str)
    ]
    if counts:
        terminalreporter.write_line(f"skipped for want of: {', '.join(counts)}")
    for name in required_but_missing(names):
        terminalreporter.write_line(f"ERROR: {name} is required here and missing", red=True)


def pytest_sessionfinish(session):
    """Fail a run that skipped tests for want of what the environment requires."""
    if required_but_missing(_skipped(session.config)) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
