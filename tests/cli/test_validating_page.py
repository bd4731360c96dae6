"""What docs/validating.md says is so."""

import re
import shlex
from pathlib import Path

import pytest

from fhir_b12.reports import FORMATS
from tests.cli.shell import call

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "docs" / "validating.md"


def fenced(language):
    text = PAPER.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_its_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_B12_FIXTURES", str(tmp_path))
    for line in "".join(fenced("sh")).splitlines():
        _, *arguments = shlex.split(line)
        assert (arguments, call(*arguments)[::2]) == (arguments, (0, ""))


@pytest.mark.parametrize("snippet", fenced("python"))
def test_its_python_runs(snippet):
    exec(compile(snippet, PAPER.name, "exec"), {})


def test_every_option_it_names_is_there():
    helped = call("validate", "--help")[1]
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", PAPER.read_text("utf-8"))) - {"--save"}
    assert {option for option in named if option not in helped} == set()
    offered = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", helped)) - {"--help"}
    assert offered - named == {"--max-bytes"}


def test_it_names_every_format_and_links_to_files_that_are_there():
    text = PAPER.read_text("utf-8")
    assert [name for name in FORMATS if f"| `{name}` |" not in text] == []
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (PAPER.parent / link).exists()] == []
