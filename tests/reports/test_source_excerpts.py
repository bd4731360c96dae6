"""Source excerpts: keys and punctuation without values, the position highlighted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12.reports.source_excerpts import WIDTH, excerpt, mask_line, split_lines

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


@pytest.mark.parametrize(("line", "expected"), MASKED.items())
def test_values_are_masked_and_keys_are_kept(line, expected):
    assert mask_line(line) == expected


VALUES = st.recursive(
    st.text("SECRT", min_size=6).map(lambda text: f"{text} {text}") | st.just(987654321),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=6,
)


@given(VALUES, st.sampled_from([None, 1, 2]), st.integers(1, 80), st.integers(0, 60))
def test_no_value_is_shown_wherever_the_text_is_cut(value, indent, column, cut):
    text = json.dumps(value, indent=indent)
    for line in (*split_lines(text), text[:cut]):
        output = mask_line(line) + excerpt(line, 1, column).text
        assert not set(output) & set("SECRT987654321")


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


@pytest.mark.parametrize(("line", "column", "text", "marked"), EXCERPTS.values(), ids=EXCERPTS)
def test_the_token_at_the_column_is_highlighted(line, column, text, marked):
    result = excerpt(line, 7, column)
    assert (result.line, result.text) == (7, text)
    assert result.text[result.start : result.start + result.width] == marked


def test_values_are_shown_on_request():
    result = excerpt('"status": "fnial"', 1, 11, show_values=True)
    assert result.text == '"status": "fnial"'
    assert result.text[result.start : result.start + result.width] == '"fnial"'


@pytest.mark.parametrize("items", [3, 400, 300_000])
def test_a_long_line_is_cut_around_the_position(items):
    head = ", ".join('"a": 1' for _ in range(items))
    line = f'{{{head}, "status": "final", {head}}}'
    result = excerpt(line, 1, line.index('"final"') + 1)
    assert len(result.text) <= WIDTH + 2
    assert result.text[result.start : result.start + result.width] == '"…"'


def test_direction_characters_are_escaped():
    result = excerpt('"\u202ea": 1, "b": "\u202ex"', 1, 1, show_values=True)
    assert result.text == '"\\u202ea": 1, "b": "\\u202ex"'


def test_lines_end_at_cr_lf_or_crlf():
    assert split_lines("a\r\nb\rc\nd\u2028e") == ["a", "b", "c", "d\u2028e"]
