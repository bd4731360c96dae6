"""The HTML report: needs no network, is safe against its data, works for large results."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from fhir_b12.issues import Issue
from fhir_b12.reports import (
    Excerpt,
    FileFinding,
    FileResult,
    ReportOptions,
    html_report,
    render,
)
from tests.reports.samples import RESULTS, SAMPLE, STATUS

VOID = {"meta", "input", "wbr", "link", "br"}


class Page(HTMLParser):
    """Tags and text of a page; every tag must be closed in order."""

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

    def attributes(self, tag, name):
        return [attrs[name] for other, attrs in self.tags if other == tag and name in attrs]

    @property
    def words(self):
        return " ".join("".join(self.text).split())


def parse_page(results, **options):
    return Page(render(results, "html", ReportOptions(version="1.2.3", **options)))


def test_the_page_loads_nothing_and_runs_only_its_own_script():
    page = parse_page(SAMPLE)
    assert page.attributes("script", "src") == []
    assert [tag for tag, _ in page.tags if tag in {"link", "img", "iframe", "base"}] == []
    (policy,) = [c for c in page.attributes("meta", "content") if c.startswith("default-src")]
    assert re.fullmatch(
        r"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='", policy
    )


def test_every_internal_link_has_a_target():
    page = parse_page(SAMPLE)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert sorted(ids) == sorted(set(ids))
    links = [link[1:] for link in page.attributes("a", "href") if link.startswith("#")]
    assert [link for link in links if link not in ids] == []
    assert "f0-L7" in links


def test_the_page_can_be_read_without_javascript():
    words = parse_page(SAMPLE).words
    for text in (
        "Not valid 2 errors, 2 warnings, 1 for information in 5 resources of 3 files; ",
        "1 file could not be read; 2 more findings in the baseline.",
        "3 files with findings",
        "No findings in 1 other file.",
        "the code is not in the value set",
        "a dose & a <unit>",
        "absent.json No such file or directory",
        "LOINC is not known offline (2 times)",
        "DomainResource must satisfy this in every FHIR R4 resource.",
    ):
        assert text in words


@settings(max_examples=60)
@given(RESULTS)
def test_no_text_of_the_data_becomes_markup(results):
    page = parse_page(results, show_values=True)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert [name for _, attrs in page.tags for name in attrs if name.startswith("on")] == []
    links = page.attributes("a", "href")
    assert [link for link in links if not re.match(r"#|https?://", link)] == []


HOSTILE = '</script></pre><script>alert("1")</script>\u202e" onclick="x'


def test_markup_in_any_field_is_escaped():
    issue = Issue("error", HOSTILE, HOSTILE, HOSTILE, rule=HOSTILE, stage=HOSTILE, line=1)
    excerpt = Excerpt(line=1, text=HOSTILE, start=3, width=9)
    findings = (FileFinding(issue=issue, excerpt=excerpt),)
    files = [FileResult(file=HOSTILE, findings=findings, source=(HOSTILE,), unchecked=(issue,))] * 2
    page = parse_page(files, show_values=True)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert [name for _, attrs in page.tags for name in attrs if name.startswith("on")] == []


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", ""])
def test_only_a_web_address_becomes_a_link(link):
    issue = Issue("error", "invalid", "Patient", "wrong", rule="own", source=link)
    page = parse_page([FileResult(file="a.json", findings=(FileFinding(issue=issue),))])
    assert [href for href in page.attributes("a", "href") if not href.startswith("#")] == []


def test_a_large_page_omits_findings_and_says_how_many(monkeypatch):
    monkeypatch.setattr(html_report, "MAX_FINDINGS", 3)
    monkeypatch.setattr(html_report, "MAX_LOCATIONS", 2)
    issues = [Issue("error", "invalid", f"Patient.e{n}", f"wrong {n}", rule="r") for n in range(5)]
    same = [Issue("error", "invalid", f"Patient.name[{n}]", "twice") for n in range(4)]
    findings = tuple(FileFinding(issue=issue) for issue in (*same, *issues))
    page = parse_page([FileResult(file="a.json", findings=findings)])
    assert [tag for tag, _ in page.tags].count("article") == 3
    assert "3 findings omitted from this page." in page.words
    assert "3 more findings omitted to keep this page fast" in page.words
    assert "3 more locations" in page.words
    assert "and 1 more" in page.words


def test_the_source_of_a_long_file_is_omitted(monkeypatch):
    monkeypatch.setattr(html_report, "MAX_LINES", 3)
    findings = (FileFinding(issue=STATUS),)
    files = [
        FileResult(file=name, findings=findings, source=("{", "}")) for name in ("a.json", "b.json")
    ]
    labels = parse_page(files).attributes("pre", "aria-label")
    assert labels == ["Source of a.json"]


def test_the_page_says_whether_values_are_masked():
    result = FileResult(file="a", findings=(FileFinding(issue=STATUS),), source=('"status": "…"',))
    assert "Source, values masked" in parse_page([result]).text
    assert "Source" in parse_page([result], show_values=True).text
