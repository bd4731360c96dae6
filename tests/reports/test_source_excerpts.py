"""What is shown of the source: keys and punctuation, no value, the place marked."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.reports.source_excerpts import WIDTH, excerpt, lines, masked

MASKED = {
    '{"status": "final", "value": 1.50e3}': '{"status": "…", "value": …}',
    '"active": true, "deceased": false, "x": null': '"active": …, "deceased": …, "x": null',
    '"resourceType": "Patient"': '"resourceType": "Patient"',
    '"resourceType": "Maja"': '"resourceType": "…"',
    '"family": "Resource: \\"x\\", y"': '"family": "…"',
    '"_given": ["Maja", null, ""]': '"_given": ["…", null, ""]',
    '{"Maja Sørensen": 1}': '{"…": …}',
    '{"name": Maja Smith", "x": 1}': '{"name": … …"…"…"…"',
    '"family": "Maja': '"family": "…"',
    "'family': 'Maja'": "…: …",
    '{"a": "Maja": 1}': '{"a": "…": …}',
    "": "",
}


@pytest.mark.parametrize(("line", "shown"), MASKED.items())
def test_a_value_is_an_ellipsis_and_a_key_stays(line, shown):
    assert masked(line) == shown


VALUES = st.recursive(
    st.text("SECRT", min_size=6).map(lambda text: f"{text} {text}") | st.just(987654321),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)


@given(VALUES, st.sampled_from([None, 1, 2]), st.integers(1, 80), st.integers(0, 60))
def test_no_value_shows_wherever_the_text_breaks_off(value, indent, column, cut):
    text = json.dumps(value, indent=indent)
    for line in (*lines(text), text[:cut]):
        shown = masked(line) + excerpt(line, 1, column).text
        assert not set(shown) & set("SECRT987654321")


EXCERPTS = {
    "a value": ('  "status": "final",', 13, '  "status": "…",', '"…"'),
    "the key of an object": ('"code": {"text": 1}', 9, '"code": {"text": …}', '"code"'),
    "the key of a list": ('"given": ["x"]', 10, '"given": ["…"]', '"given"'),
    "an object without a key": ("[{}]", 2, "[{}]", "{"),
    "white space": ("a   b", 3, "…   …", " "),
    "past the end": ('"id": 1', 99, '"id": …', "…"),
    "nothing": ("", 1, "", ""),
    "a tab": ('\t"id": 1', 8, '    "id": …', "…"),
}


@pytest.mark.parametrize(("line", "column", "text", "meant"), EXCERPTS.values(), ids=EXCERPTS)
def test_the_place_is_marked(line, column, text, meant):
    found = excerpt(line, 7, column)
    assert (found.line, found.text) == (7, text)
    assert found.text[found.start : found.start + found.width] == meant


def test_values_are_shown_to_those_who_ask():
    found = excerpt('"status": "fnial"', 1, 11, show_values=True)
    assert found.text == '"status": "fnial"'
    assert found.text[found.start : found.start + found.width] == '"fnial"'


@pytest.mark.parametrize("items", [3, 400, 300_000])
def test_a_long_line_is_cut_about_the_place(items):
    head = ", ".join('"a": 1' for _ in range(items))
    line = f'{{{head}, "status": "final", {head}}}'
    found = excerpt(line, 1, line.index('"final"') + 1)
    assert len(found.text) <= WIDTH + 2
    assert found.text[found.start : found.start + found.width] == '"…"'


def test_marks_that_turn_the_direction_of_text_are_spelled_out():
    found = excerpt('"\u202ea": 1, "b": "\u202ex"', 1, 1, show_values=True)
    assert found.text == '"\\u202ea": 1, "b": "\\u202ex"'


def test_lines_end_as_positions_count_them():
    assert lines("a\r\nb\rc\nd\u2028e") == ["a", "b", "c", "d\u2028e"]
