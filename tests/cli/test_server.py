"""The commands of the server: understood, and found when they are needed."""

import shlex
import subprocess
import sys

import pytest

from fhir_b12 import cli
from fhir_b12.cli import server
from tests.cli.shell import call
from tests.cli.test_demo import COMMANDS, SERVING
from tests.server.memory import install

install()

EXAMPLES = [
    line.strip()
    for name in SERVING
    for line in COMMANDS[name].epilog.splitlines()
    if line.startswith("  fhir-b12 ")
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_help_are_understood(example):
    arguments = cli.parser().parse_args(shlex.split(example)[1:])
    assert arguments.run.__module__ == "fhir_b12.cli.server"


def test_what_is_not_given_is_left_to_the_variables():
    arguments = cli.parser().parse_args(["serve"])
    given = {name: value for name, value in vars(arguments).items() if name != "run"}
    assert set(given.values()) == {None}


@pytest.mark.parametrize(
    ("missing", "extra"),
    [
        ("flask", "server"),
        ("waitress.server", "server"),
        ("psycopg", "postgres"),
        ("granian", "postgres"),
    ],
)
def test_a_missing_extra_is_named(inside, monkeypatch, missing, extra):
    def absent(name):
        raise ModuleNotFoundError(name=missing)

    monkeypatch.setattr(server, "import_module", absent)
    for name in ("serve", "reindex"):
        said = f"fhir-b12: {missing} is not installed; pip install 'fhir-b12[{extra}]'\n"
        assert call(name) == (2, "", said)


def test_a_module_of_ours_that_is_missing_is_a_defect(inside, monkeypatch):
    monkeypatch.setitem(sys.modules, "fhir_b12.server.upkeep", None)
    code, _, err = call("reindex")
    assert (code, "defect" in err) == (3, True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve --open --host 0.0.0.0", "FHIR_B12_OPEN: only on loopback; listen on 127.0.0.1"),
        ("serve --port x", "FHIR_B12_PORT: write a whole number"),
        ("serve --open --workers 2", "FHIR_B12_WORKERS: more than one needs PostgreSQL"),
        ("backup bundle.json", "bundle.json is there already; name another file"),
        ("restore x --database bundle.json", "bundle.json is there already; name another file"),
        ("restore x --database postgresql://x", "pg_restore puts a PostgreSQL backup in its place"),
    ],
)
def test_settings_that_cannot_be_used_are_told_without_a_traceback(inside, line, said):
    assert call(*line.split()) == (2, "", f"fhir-b12: {said}\n")


@pytest.mark.parametrize(
    "line", ["serve --open", "reindex", "backup copy.db", "restore copy.db --database clinic.db"]
)
def test_a_command_that_needs_what_is_not_there_yet_says_so(tmp_path, line):
    # in a process of its own, where no store of the tests stands in
    done = subprocess.run(
        [sys.executable, "-m", "fhir_b12", *line.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{line.split()[0]} needs the server's store and search, which this version does not"
    assert (done.returncode, done.stderr) == (2, f"fhir-b12: {said} have yet\n")
