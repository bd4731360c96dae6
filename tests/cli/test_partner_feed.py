"""A partner's broken Bundle is mended by following the messages alone; docs/validating.md tells it."""

import json
import re
from pathlib import Path

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.validation import validate
from tests.cli.shell import call

HERE = Path(__file__).parent / "partner_feed"
PAPER = Path(__file__).resolve().parents[2] / "docs" / "validating.md"
BROKEN, MENDED = ((HERE / name).read_text("utf-8") for name in ("invalid.json", "corrected.json"))
#: line and rule of all that is wrong, and whether `--fix` mends it
FOUND = [
    (1, "bdl-7", False),
    (9, "identifier-system", False),
    (10, "not-list", True),
    (11, "required-binding", False),
    (12, "date", False),
    (20, "required-binding", False),  # goes with the next
    (22, "unknown-code", True),
    (29, "urn-elsewhere", False),
    (30, "date", False),
    (38, "code-space", False),  # goes with the next
    (38, "required-binding", True),
    (39, "not-list", True),
    (52, "date", False),
    (53, "unknown-element", True),
    (59, "empty-list", True),
    (64, "fullurl-again", False),
    (74, "OBS-03", True),
    (75, "wrong-kind", True),
    (80, "sqty-1", False),
    (80, "max", False),
    (86, "min", False),
    (90, "per-1", False),
    (96, "OBS-03", True),
    (103, "second-choice", False),
    (106, "min", False),
]
#: the trap that came to light when the name of the value was right
LATER = "OBS-01"


@pytest.fixture
def feed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "broken.json"
    path.write_text(BROKEN, "utf-8")
    return path


def rows(name="broken.json"):
    out = call("validate", name, "--format", "ndjson")[1]
    return [json.loads(line) for line in out.splitlines()]


def test_all_its_faults_are_told_with_their_lines_and_whether_they_mend_themselves(feed):
    found = [(row["line"], row["rule"], row["fixable"]) for row in rows()]
    assert sorted(found) == sorted(FOUND)


def test_the_sure_ones_mend_themselves_and_the_rest_of_the_text_stays(feed):
    code, _, err = call("validate", "broken.json", "--fix")
    assert (code, err) == (1, "9 findings were mended in 1 file; what is left:\n")
    mended, before = feed.read_text("utf-8").splitlines(), BROKEN.splitlines()
    assert len(mended) == len(before) - 1  # the empty list and its line are gone
    assert '        "name": [{"family": "Okafor", "given": ["Adaeze"]}],' in mended
    assert '        "valueQuantity": {' in mended
    assert '          "value": 0.52,' in mended
    left = {row["rule"] for row in rows()}
    assert left == {rule for _, rule, fixable in FOUND if not fixable} - {"code-space"} | {LATER}


def test_what_is_mended_by_its_messages_has_no_finding(feed):
    assert [str(issue) for issue in validate(MENDED)] == []


def test_no_message_shows_what_the_partner_sent(feed):
    out = call("validate", "broken.json")[1]
    secrets = ("Okafor", "Adaeze", "B12-0042", "clinic.example", "03/09/1961", '"F"', "0.52")
    assert [each for each in secrets if each in out] == []


def test_every_message_says_what_to_do():
    wanted = re.compile(  # a remedy
        r"\b(correct|write|written|give|add|leave|must|needs?|take|look|ask|Ask|Write|use|check|remove)\b"
        r"|is required here: one of|did you mean"
    )
    assert [str(issue) for issue in validate(BROKEN) if not wanted.search(issue.message)] == []


def test_the_paper_shows_what_is_really_said(feed):
    text = PAPER.read_text("utf-8")
    section = text[text.index("## A partner's feed in ten minutes") :].partition("\n## ")[0]
    shown = re.findall(r"^```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    said = [call("validate", "broken.json")[1]]
    call("validate", "broken.json", "--fix")
    said.append(call("validate", "broken.json")[1])
    assert len(shown) >= 4
    for part in shown:
        assert any(part in each for each in said), part


@pytest.mark.parametrize("name", ["sarif", "junit", "html", "json", "outcome"])
def test_every_format_holds_every_fault(feed, name):
    code, out, _ = call("validate", "broken.json", "--format", name)
    assert code == 1
    for _, rule, _ in FOUND:
        assert rule in out or name == "outcome"
    if name == "outcome":
        assert len(loads(out)["issue"]) >= len(FOUND)
