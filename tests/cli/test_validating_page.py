"""The commands, options and links of docs/validating.md are right."""

import re
import shlex
from pathlib import Path

import pytest

from fhir_b12.reports import FORMATS
from tests.cli.shell import call

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "validating.md"


def code_blocks(language):
    text = PAGE.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_its_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_B12_FIXTURES", str(tmp_path))
    for line in "".join(code_blocks("sh")).splitlines():
        _, *arguments = shlex.split(line)
        assert (arguments, call(*arguments)[::2]) == (arguments, (0, ""))


@pytest.mark.parametrize("snippet", code_blocks("python"))
def test_its_python_runs(snippet):
    exec(compile(snippet, PAGE.name, "exec"), {})


def test_it_names_every_option_and_no_other():
    help_text = call("validate", "--help")[1]
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", PAGE.read_text("utf-8"))) - {"--save"}
    assert {option for option in named if option not in help_text} == set()
    offered = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", help_text)) - {"--help"}
    assert offered - named == {"--max-bytes"}


def test_it_names_every_format_and_links_to_existing_files():
    text = PAGE.read_text("utf-8")
    assert [name for name in FORMATS if f"| `{name}` |" not in text] == []
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (PAGE.parent / link).exists()] == []
