"""Narratives get the findings of the reference validator, whatever their content."""

import bz2
import json
import random
from pathlib import Path

import pytest

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import rules
from fhir_b12.validation.narrative import (
    Verdict,
    check_narrative,
    find_local_links,
    is_plain,
    parse,
)

CASES = json.loads((Path(__file__).parent / "cases" / "narratives.json").read_text("utf-8"))
XHTML = "http://www.w3.org/1999/xhtml"
TAGS = [
    "a", "b", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "h1", "hr", "i", "img", "li",
    "ol", "p", "pre", "script", "span", "table", "tbody", "td", "th", "thead", "tr", "ul",
]  # fmt: skip
ATTRIBUTES = [
    "", "", "", "", ' class="c"', ' style="x"', ' id="i"', ' href="http://example.org/a"',
    ' href="#i"', ' href="a b"', ' src="x.png"', ' onclick="x"', ' colspan="2"', ' border="1"',
    ' xml:lang="en"', ' class="c" class="d"', " class='c'", ' title="&amp;"',
]  # fmt: skip
TEXTS = ["", "", "x", " ", "\n", "&amp;", "&nbsp;", "&", "<!-- x -->", "]]>", "\xa0", "é"]


def resource(div):
    return {
        "resourceType": "Patient",
        "id": "p1",
        "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
        "name": [{"id": "n1", "text": "x"}],
        "text": {"status": "generated", "div": div},
    }


def rules_of(div):
    findings = []
    check_narrative(div, ResourceContext(resource(div), None), findings)
    return [finding.rule for finding in findings]


def enclose(inner):
    return f'<div xmlns="{XHTML}">{inner}</div>'


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_narrative_gets_the_findings_of_its_case(case):
    assert sorted(set(rules_of(case["div"]))) == case["found"]


def test_a_case_that_differs_from_the_reference_has_a_reason():
    assert [case["name"] for case in CASES if ("reference" in case) != ("why" in case)] == []


def test_every_finding_has_a_rule():
    assert {rule for case in CASES for rule in case["found"]} - set(rules()) == set()


def test_a_link_leads_to_a_contained_resource_an_element_or_an_anchor():
    links = {
        name: rules_of(enclose(f'<a href="#{name}">x</a><a name="anchor">y</a>'))
        for name in ("p1", "o", "n1", "anchor", "nowhere")
    }
    assert links == {
        "p1": [],
        "o": [],
        "n1": [],
        "anchor": [],
        "nowhere": ["narrative-link"],
    }


def test_find_local_links_yields_the_ids_of_links_and_images():
    div = enclose('<a href="#a">x</a><img src="#b"/><a href="http://example.org/#c">y</a>')
    assert list(find_local_links(div)) == ["a", "b"]


def draw_markup(draw, depth=0):
    """Return random markup that is often valid."""
    parts = []
    for _ in range(draw.randint(0, 3)):
        name = draw.choice(TAGS)
        start = f"<{name}{draw.choice(ATTRIBUTES)}"
        if depth > 3 or draw.random() < 0.2:
            parts.append(f"{start}/>")
        else:
            end = name if draw.random() < 0.98 else draw.choice(TAGS)
            parts.append(f"{start}>{draw_markup(draw, depth + 1)}</{end}>")
        parts.append(draw.choice(TEXTS))
    return draw.choice(TEXTS) + "".join(parts)


def draw_valid(draw, name="div", depth=0):
    """Return random markup that is valid."""
    inside = {
        "div": ["p", "ul", "table", "b", "div", "dl"],
        "p": ["b", "i", "span", "br"],
        "ul": ["li"],
        "table": ["tbody"],
        "tbody": ["tr"],
        "tr": ["td", "th"],
        "dl": ["dt"],
    }.get(name, [])
    parts = (
        [draw_valid(draw, draw.choice(inside), depth + 1) for _ in range(2)] if inside else ["x"]
    )
    return "<br/>" if name == "br" else f"<{name}>{''.join(parts)}</{name}>"


def test_the_parser_finds_no_fault_in_a_plain_narrative():
    draw = random.Random(4)
    divs = [enclose(draw_markup(draw)) for _ in range(4000)] + [case["div"] for case in CASES]
    for _ in range(300):
        valid = enclose(draw_valid(draw)[5:-6])
        position = draw.randrange(len(valid))
        divs += [valid, valid[:position] + draw.choice("<>&/\"' x\x01é") + valid[position + 1 :]]
    plain = [div for div in divs if is_plain(div)]
    assert len(plain) > 300
    assert [div for div in plain if parse(div) != Verdict()] == []


def test_valid_simple_narratives_are_plain():
    draw = random.Random(4)
    divs = [enclose(draw_valid(draw)[5:-6]) for _ in range(200)]
    assert [div for div in divs if is_plain(div) != (not parse(div).faults)] == []


HOSTILE = {
    "entities": '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><div>&b;&b;</div>',
    "external": '<!DOCTYPE d SYSTEM "file:///etc/passwd"><div>x</div>',
    "parameter": '<!DOCTYPE d [<!ENTITY % x SYSTEM "http://example.org/x">%x;]><div/>',
    "deep": enclose("<span>" * 20_000 + "x" + "</span>" * 20_000),
    "unclosed": enclose("<span>" * 50_000),
    "wide": enclose("<script/>" * 50_000),
    "attributes": enclose("<p" + "".join(f' a{n}="x"' for n in range(5000)) + ">x</p>"),
    "quotes": enclose('<p class="' * 5000),
    "blanks": "<div" + " " * 100_000,
    "ampersands": enclose("&a" * 50_000),
    "entities by name": enclose("&nbsp;" * 50_000),
    "nul": enclose("\0"),
    "surrogate": enclose("\ud800"),
    "links": enclose('<a href="#x">x</a>' * 5000),
    "data": enclose(f'<img src="data:{"a" * 50_000}"/>'),
    "encoding": f'<?xml version="1.0" encoding="utf-16"?>{enclose("x")}',
    "empty": "",
}


#: unusual, but well-formed with allowed elements only
HARMLESS = {"deep", "encoding"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_narrative_gets_a_finding_and_no_more_than_a_hundred(name):
    number = len(rules_of(HOSTILE[name]))
    assert number == 0 if name in HARMLESS else 1 <= number <= 102


def recorded_outcomes(root):
    """Yield source, mutant and whether the reference finds an error in its narrative."""
    for path in sorted((root / "reference_outcomes").glob("*.bz2")):
        with bz2.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if '"narrative"' in line]
        for row in rows:
            if row["operator"] == "narrative":
                mutant = json.loads(row["text"])
                if mutant["resourceType"] == "Bundle":
                    continue  # a Bundle has no narrative
                location = f"{mutant['resourceType']}.text.div"
                errors = {
                    issue["expression"]
                    for issue in row["issues"]
                    if issue["severity"] in {"error", "fatal"}
                }
                yield row["source"], mutant, location in errors


def test_narratives_of_recorded_outcomes_get_the_same_verdict(fixtures):
    wrong, number = [], 0
    for source, mutant, has_error in recorded_outcomes(fixtures):
        div = mutant.get("text", {}).get("div")
        if not isinstance(div, str):
            continue
        number += 1
        findings = []
        check_narrative(div, ResourceContext(mutant, None), findings)
        if has_error != any(rules()[finding.rule].severity == "error" for finding in findings):
            wrong.append((source, has_error, [finding.rule for finding in findings]))
    assert (wrong, number > 50) == ([], True)
