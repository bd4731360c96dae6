"""Narratives are judged as the reference validator judges them, whatever stands in them."""

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


def found(div):
    findings = []
    check_narrative(div, ResourceContext(resource(div), None), findings)
    return [each.rule for each in findings]


def whole(inner):
    return f'<div xmlns="{XHTML}">{inner}</div>'


@pytest.mark.parametrize("case", CASES, ids=[each["name"] for each in CASES])
def test_a_narrative_gets_the_findings_of_its_case(case):
    assert sorted(set(found(case["div"]))) == case["found"]


def test_where_the_reference_says_otherwise_the_case_says_why():
    assert [each["name"] for each in CASES if ("reference" in each) != ("why" in each)] == []


def test_every_finding_has_its_rule():
    assert {rule for each in CASES for rule in each["found"]} - set(rules()) == set()


def test_a_link_leads_to_a_contained_resource_an_element_or_an_anchor():
    links = {
        name: found(whole(f'<a href="#{name}">x</a><a name="anchor">y</a>'))
        for name in ("p1", "o", "n1", "anchor", "nowhere")
    }
    assert links == {
        "p1": [],
        "o": [],
        "n1": [],
        "anchor": [],
        "nowhere": ["narrative-link"],
    }


def test_anchors_are_the_ids_that_links_and_images_name():
    div = whole('<a href="#a">x</a><img src="#b"/><a href="http://example.org/#c">y</a>')
    assert list(find_local_links(div)) == ["a", "b"]


def drawn(draw, depth=0):
    """Markup that is often right."""
    parts = []
    for _ in range(draw.randint(0, 3)):
        name = draw.choice(TAGS)
        start = f"<{name}{draw.choice(ATTRIBUTES)}"
        if depth > 3 or draw.random() < 0.2:
            parts.append(f"{start}/>")
        else:
            end = name if draw.random() < 0.98 else draw.choice(TAGS)
            parts.append(f"{start}>{drawn(draw, depth + 1)}</{end}>")
        parts.append(draw.choice(TEXTS))
    return draw.choice(TEXTS) + "".join(parts)


def grown(draw, name="div", depth=0):
    """Markup that is right."""
    inside = {
        "div": ["p", "ul", "table", "b", "div", "dl"],
        "p": ["b", "i", "span", "br"],
        "ul": ["li"],
        "table": ["tbody"],
        "tbody": ["tr"],
        "tr": ["td", "th"],
        "dl": ["dt"],
    }.get(name, [])
    parts = [grown(draw, draw.choice(inside), depth + 1) for _ in range(2)] if inside else ["x"]
    return "<br/>" if name == "br" else f"<{name}>{''.join(parts)}</{name}>"


def test_what_the_quick_pass_lets_through_the_parser_finds_nothing_in():
    draw = random.Random(4)
    divs = [whole(drawn(draw)) for _ in range(4000)] + [each["div"] for each in CASES]
    for _ in range(300):
        right = whole(grown(draw)[5:-6])
        place = draw.randrange(len(right))
        divs += [right, right[:place] + draw.choice("<>&/\"' x\x01é") + right[place + 1 :]]
    plain = [div for div in divs if is_plain(div)]
    assert len(plain) > 300
    assert [div for div in plain if parse(div) != Verdict()] == []


def test_the_quick_pass_lets_through_what_is_right_and_simple():
    draw = random.Random(4)
    divs = [whole(grown(draw)[5:-6]) for _ in range(200)]
    assert [div for div in divs if is_plain(div) != (not parse(div).faults)] == []


HOSTILE = {
    "entities": '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><div>&b;&b;</div>',
    "external": '<!DOCTYPE d SYSTEM "file:///etc/passwd"><div>x</div>',
    "parameter": '<!DOCTYPE d [<!ENTITY % x SYSTEM "http://example.org/x">%x;]><div/>',
    "deep": whole("<span>" * 20_000 + "x" + "</span>" * 20_000),
    "unclosed": whole("<span>" * 50_000),
    "wide": whole("<script/>" * 50_000),
    "attributes": whole("<p" + "".join(f' a{n}="x"' for n in range(5000)) + ">x</p>"),
    "quotes": whole('<p class="' * 5000),
    "blanks": "<div" + " " * 100_000,
    "ampersands": whole("&a" * 50_000),
    "entities by name": whole("&nbsp;" * 50_000),
    "nul": whole("\0"),
    "surrogate": whole("\ud800"),
    "links": whole('<a href="#x">x</a>' * 5000),
    "data": whole(f'<img src="data:{"a" * 50_000}"/>'),
    "encoding": f'<?xml version="1.0" encoding="utf-16"?>{whole("x")}',
    "empty": "",
}


#: odd, but well-formed and of what is permitted
HARMLESS = {"deep", "encoding"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_narrative_gets_a_finding_and_no_more_than_a_hundred(name):
    number = len(found(HOSTILE[name]))
    assert number == 0 if name in HARMLESS else 1 <= number <= 102


def recorded(root):
    """(source, resource, whether the reference finds an error in its narrative) of mutants."""
    for path in sorted((root / "reference_outcomes").glob("*.bz2")):
        with bz2.open(path, "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines if '"narrative"' in line]
        for row in rows:
            if row["operator"] == "narrative":
                mutant = json.loads(row["text"])
                if mutant["resourceType"] == "Bundle":
                    continue  # which has no narrative
                place = f"{mutant['resourceType']}.text.div"
                errors = {
                    each["expression"]
                    for each in row["issues"]
                    if each["severity"] in {"error", "fatal"}
                }
                yield row["source"], mutant, place in errors


def test_narratives_of_the_recorded_outcomes_are_judged_alike(fixtures):
    wrong, number = [], 0
    for source, mutant, said in recorded(fixtures):
        div = mutant.get("text", {}).get("div")
        if not isinstance(div, str):
            continue
        number += 1
        findings = []
        check_narrative(div, ResourceContext(mutant, None), findings)
        if said != any(rules()[each.rule].severity == "error" for each in findings):
            wrong.append((source, said, [each.rule for each in findings]))
    assert (wrong, number > 50) == ([], True)
