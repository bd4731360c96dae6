"""The papers are true: their commands run, their files and targets exist, their examples work."""

import re
import shlex
import tomllib
from copy import deepcopy
from pathlib import Path

import pytest

from fhir_b12 import cli, codes, data
from fhir_b12.mapping import table
from fhir_b12.mapping.codecs import CODECS
from tests import cases, test_cases
from tests.architecture import LAYERS, SERVER_LAYERS

ROOT = Path(__file__).resolve().parent.parent
PAPERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "mappings/README.md")


def text(paper):
    return (ROOT / paper).read_text("utf-8")


def fenced(paper, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text(paper), re.MULTILINE | re.DOTALL)


def commands(paper):
    """The lines of its shell blocks that call fhir-b12, without comment."""
    lines = "".join(fenced(paper, "sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("fhir-b12 ")]


@pytest.mark.parametrize("paper", ["README.md", "mappings/README.md"])
def test_the_commands_of_the_readme_run_in_order(paper, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_B12_FIXTURES", str(tmp_path))
    assert commands(paper) != []
    for _, *arguments in commands(paper):
        assert (arguments, cli.main(arguments)) == (arguments, 0)
        assert (arguments, capfd.readouterr().err) == (arguments, "")


@pytest.mark.parametrize("paper", PAPERS)
def test_the_files_linked_in_the_readme_exist(paper):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text(paper))
    assert [link for link in links if not (ROOT / paper).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_the_make_targets_of_the_readme_exist(paper):
    known = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text(paper), re.MULTILINE))
    assert named - known == set()


def test_the_lab_test_of_the_readme_takes_two_data_files(tmp_path, monkeypatch):
    rows = tomllib.loads(fenced("README.md", "toml")[0])
    extended = codes.CodeTable("lab_tests", rows)
    known = codes.table
    monkeypatch.setattr(
        codes, "table", lambda name: extended if name == "lab_tests" else known(name)
    )
    path = tmp_path / "labs" / "vitamin_b6.json"
    path.parent.mkdir()
    path.write_text(fenced("README.md", "json")[0], "utf-8")
    monkeypatch.setattr(cases, "FOLDER", tmp_path)
    (case,) = cases.load()
    test_cases.test_a_case_is_read_as_its_expected_record(case)
    test_cases.test_every_leaf_is_in_the_ledger_once(case)
    test_cases.test_an_update_with_the_record_that_was_read_changes_nothing(case)
    test_cases.test_concepts_are_found_in_the_code_tables(case)
    assert case.meaning == {"test": f"lab_tests.{next(iter(rows))}"}


def test_contributing_lists_the_layers():
    drawn = [
        tuple(re.findall(r"`([a-z_.]+)`", line))
        for line in text("CONTRIBUTING.md").splitlines()
        if re.match(r"\| [0-9]+ \|", line)
    ]
    layers = [tuple(name for name in names if name and name != "__main__") for names in LAYERS]
    assert drawn == [*layers, *SERVER_LAYERS]


def test_the_mappings_documentation_quotes_real_error_messages():
    source = deepcopy(data.toml("lab_result.toml"))
    source["elements"]["code"]["field"] = "tset"
    source["elements"]["valueQuantty"] = source["elements"].pop("valueQuantity")
    source["elements"]["valueString"]["as"] = "reslut"
    rows = {
        "ferritin": {"text": "a", "source": "s", "codings": [{"system": "lonic", "code": "1"}]},
        **{
            key: {
                "text": key,
                "source": "s",
                "codings": [{"system": "loinc", "code": "LOINC-CODE"}],
            }
            for key in ("folate", "vitamin-b6")
        },
    }
    messages = []
    for load in (
        lambda: table.build("lab_result", source),
        lambda: codes.CodeTable("lab_tests", rows),
    ):
        with pytest.raises(codes.TableError) as error:
            load()
        messages += str(error.value).splitlines()
    quoted = fenced("mappings/README.md", "text")[0].splitlines()
    assert [
        line for line in quoted if not any(t.startswith(line.rstrip(".")) for t in messages)
    ] == []


def test_the_mappings_documentation_names_every_codec():
    assert [name for name in CODECS if f"`{name}`" not in text("mappings/README.md")] == []
