"""The page: whole without a network, safe against its data, useful when it is large."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from fhir_b12.issues import Issue
from fhir_b12.reports import Checked, Excerpt, Found, Options, html_report, render
from tests.reports.samples import RESULTS, SAMPLE, STATUS

VOID = {"meta", "input", "wbr", "link", "br"}


class Page(HTMLParser):
    """The tags of a page, closed in the order they were opened."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag, name):
        return [attrs[name] for each, attrs in self.tags if each == tag and name in attrs]


def page(results, **options):
    return Page(render(results, "html", Options(version="1.2.3", **options)))


def test_it_needs_no_network_and_runs_its_own_script_alone():
    made = page(SAMPLE)
    assert made.all("script", "src") == []
    assert [tag for tag, _ in made.tags if tag in {"link", "img", "iframe", "base"}] == []
    (policy,) = [c for c in made.all("meta", "content") if c.startswith("default-src")]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='", policy
    )


def test_every_link_within_the_page_has_its_place():
    made = page(SAMPLE)
    ids = [attrs["id"] for _, attrs in made.tags if "id" in attrs]
    assert sorted(ids) == sorted(set(ids))
    inner = [link[1:] for link in made.all("a", "href") if link.startswith("#")]
    assert [link for link in inner if link not in ids] == []
    assert "f0-L7" in inner


def test_it_can_be_read_without_a_script():
    text = " ".join("".join(page(SAMPLE).text).split())
    for said in (
        "Not valid 2 errors, 2 warnings, 1 for information in 5 resources of 3 files",
        "the code is none of R4",
        "a dose & a <unit>",
        "absent.json No such file or directory",
        "LOINC is not known offline (2 times)",
        "DomainResource must satisfy this in every FHIR R4 resource.",
    ):
        assert said in text


@settings(max_examples=60)
@given(RESULTS)
def test_no_text_of_the_data_becomes_part_of_the_page(results):
    made = page(results, show_values=True)
    assert [tag for tag, _ in made.tags].count("script") == 1
    assert [name for _, attrs in made.tags for name in attrs if name.startswith("on")] == []
    assert [link for link in made.all("a", "href") if not re.match(r"#|https?://", link)] == []


HOSTILE = '</script></pre><script>alert("1")</script>\u202e" onclick="x'


def test_hostile_words_are_words_wherever_they_stand():
    issue = Issue("error", HOSTILE, HOSTILE, HOSTILE, rule=HOSTILE, stage=HOSTILE, line=1)
    excerpt = Excerpt(line=1, text=HOSTILE, start=3, width=9)
    found = (Found(issue=issue, excerpt=excerpt),)
    files = [Checked(file=HOSTILE, found=found, source=(HOSTILE,), unchecked=(issue,))] * 2
    made = page(files, show_values=True)
    assert [tag for tag, _ in made.tags].count("script") == 1
    assert [name for _, attrs in made.tags for name in attrs if name.startswith("on")] == []


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", ""])
def test_only_a_web_address_is_a_link(link):
    issue = Issue("error", "invalid", "Patient", "wrong", rule="own", source=link)
    links = page([Checked(file="a.json", found=(Found(issue=issue),))]).all("a", "href")
    assert [each for each in links if not each.startswith("#")] == []


def test_of_very_many_findings_it_shows_some_and_says_so(monkeypatch):
    monkeypatch.setattr(html_report, "MOST_FINDINGS", 3)
    monkeypatch.setattr(html_report, "MOST_PLACES", 2)
    issues = [Issue("error", "invalid", f"Patient.e{n}", f"wrong {n}", rule="r") for n in range(5)]
    same = [Issue("error", "invalid", f"Patient.name[{n}]", "twice") for n in range(4)]
    found = tuple(Found(issue=issue) for issue in (*same, *issues))
    made = page([Checked(file="a.json", found=found)])
    text = " ".join("".join(made.text).split())
    assert [tag for tag, _ in made.tags].count("article") == 3
    assert "3 more findings left out to keep this page quick" in text
    assert "and 1 more" in text


def test_values_are_said_to_be_masked_unless_they_are_not():
    result = Checked(file="a", found=(Found(issue=STATUS),), source=('"status": "…"',))
    assert "Source, values masked" in page([result]).text
    assert "Source" in page([result], show_values=True).text
