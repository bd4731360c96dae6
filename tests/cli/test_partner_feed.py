"""A partner's invalid Bundle is corrected by following the messages, as docs/validating.md shows."""

import json
import re
from pathlib import Path

import pytest

from fhir_b12.jsonio import loads
from fhir_b12.validation import validate
from tests.cli.shell import call

HERE = Path(__file__).parent / "partner_feed"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "validating.md"
INVALID, CORRECTED = (
    (HERE / name).read_text("utf-8") for name in ("invalid.json", "corrected.json")
)
#: line and rule of each finding, and whether `--fix` fixes it
FINDINGS = [
    (1, "bdl-7", False),
    (9, "identifier-system", False),
    (10, "not-list", True),
    (11, "required-binding", False),
    (12, "date", False),
    (20, "required-binding", False),  # fixed together with the next
    (22, "unknown-code", True),
    (29, "urn-elsewhere", False),
    (30, "date", False),
    (38, "code-space", False),  # fixed together with the next
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
#: rule of the finding that appears only after the element name is fixed
REVEALED = "OBS-01"


@pytest.fixture
def feed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "feed.json"
    path.write_text(INVALID, "utf-8")
    return path


def rows(name="feed.json"):
    out = call("validate", name, "--format", "ndjson")[1]
    return [json.loads(line) for line in out.splitlines()]


def test_every_finding_has_its_line_and_says_whether_it_is_fixable(feed):
    findings = [(row["line"], row["rule"], row["fixable"]) for row in rows()]
    assert sorted(findings) == sorted(FINDINGS)


def test_fixable_findings_are_fixed_and_the_rest_of_the_text_is_preserved(feed):
    code, _, err = call("validate", "feed.json", "--fix")
    assert (code, err) == (1, "9 findings fixed in 1 file; remaining findings:\n")
    fixed, before = feed.read_text("utf-8").splitlines(), INVALID.splitlines()
    assert len(fixed) == len(before) - 1  # the empty list and its line are removed
    assert '        "name": [{"family": "Okafor", "given": ["Adaeze"]}],' in fixed
    assert '        "valueQuantity": {' in fixed
    assert '          "value": 0.52,' in fixed
    remaining = {row["rule"] for row in rows()}
    assert remaining == {rule for _, rule, fixable in FINDINGS if not fixable} - {"code-space"} | {
        REVEALED
    }


def test_the_corrected_bundle_has_no_findings(feed):
    assert [str(issue) for issue in validate(CORRECTED)] == []


def test_no_message_shows_a_value_of_the_data(feed):
    out = call("validate", "feed.json")[1]
    secrets = ("Okafor", "Adaeze", "B12-0042", "clinic.example", "03/09/1961", '"F"', "0.52")
    assert [secret for secret in secrets if secret in out] == []


def test_every_message_says_what_to_do():
    remedy = re.compile(
        r"\b(correct|write|written|give|add|leave|must|needs?|take|look|ask|Ask|Write|use|check|remove)\b"
        r"|is required here: one of|did you mean"
    )
    assert [str(issue) for issue in validate(INVALID) if not remedy.search(issue.message)] == []


def test_the_output_on_the_page_is_the_real_output(feed):
    text = PAGE.read_text("utf-8")
    section = text[text.index("## A partner's feed in ten minutes") :].partition("\n## ")[0]
    blocks = re.findall(r"^```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    outputs = [call("validate", "feed.json")[1]]
    call("validate", "feed.json", "--fix")
    outputs.append(call("validate", "feed.json")[1])
    assert len(blocks) >= 4
    for block in blocks:
        assert any(block in output for output in outputs), block


@pytest.mark.parametrize("name", ["sarif", "junit", "html", "json", "outcome"])
def test_every_report_format_contains_every_finding(feed, name):
    code, out, _ = call("validate", "feed.json", "--format", name)
    assert code == 1
    for _, rule, _ in FINDINGS:
        assert rule in out or name == "outcome"
    if name == "outcome":
        assert len(loads(out)["issue"]) >= len(FINDINGS)
