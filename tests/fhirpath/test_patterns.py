"""An automaton says what Python's own engine says, and says it soon."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fhir_b12.fhirpath.automaton import Automaton, TooLargeError
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.patterns import pattern, replaced, searched
from fhir_b12.fhirpath.regex import FLAGS, UnreadableError, cost, read

ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "[]a]", r"\d", r"\w", r"\s", r"\.", "^", "$", r"\b", r"\B", "é"]
)


def grown(inner):
    many = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])
    return (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})")
        | st.tuples(inner, many).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
    )


PATTERNS = st.recursive(ATOMS, grown, max_leaves=6)


def free(_steps):
    """Work that costs nothing."""


@given(PATTERNS, st.text(alphabet="ab1. \né", max_size=8))
def test_an_automaton_agrees_with_pythons_engine(source, text):
    # Python before 3.14 finds no \\B in an empty text
    assume(text and cost(read(source), len(text)) < 10_000)
    automaton = Automaton(read(source))
    own = re.compile(source, FLAGS)
    assert automaton.runs(text, free, whole=True) == bool(own.fullmatch(text))
    assert automaton.runs(text, free, whole=False) == bool(own.search(text))


@pytest.mark.parametrize(
    ("source", "length", "ways"),
    [
        ("abc", 100, 1),
        ("[a-z]{10}", 100, 1),
        ("[A-Z][A-Za-z0-9_]{0,254}", 100, 101),
        ("a*b*", 100, 101 * 101),
        ("(a|b)c", 100, 2),
        ("(a|b){3}", 100, 8),
        ("(a+)+", 100, 10**9),
        ("(a|a)*", 100, 10**9),
        ("(a?){30}a{30}", 30, 10**9),
    ],
)
def test_the_ways_of_a_pattern_are_counted(source, length, ways):
    assert cost(read(source), length) == ways


@pytest.mark.parametrize(
    "source", ["(?=a)", "(?<!a)b", r"(a)\1", "(?i)a", "a++", "(?P=x)", "(", "a)", "*"]
)
def test_forms_that_no_automaton_has_are_told(source):
    with pytest.raises(UnreadableError):
        read(source)


def test_a_pattern_that_repeats_too_much_is_told():
    with pytest.raises(TooLargeError):
        Automaton(read("((a{1,99}){1,99}){1,99}"))


def test_a_category_of_unicode_is_known():
    assert [searched(r"^\p{Lu}\P{Lu}+$", each, free) for each in ("Éa", "ÉA")] == [True, False]


@pytest.mark.parametrize(
    ("source", "text", "other", "result"),
    [
        ("a", "banana", "o", "bonono"),
        ("(a)(n)", "banana", "$2$1", "bnanaa"),
        ("a", "banana", r"\$1", "b$1n$1n$1"),
        ("x*", "ab", "-", "-a-b-"),
        ("(x)?a", "a", "[$1]", "[]"),
    ],
)
def test_what_fits_is_replaced(source, text, other, result):
    assert replaced(source, text, other, free) == result


@pytest.mark.parametrize(
    ("source", "other", "why"),
    [
        ("a", "$1", "no group 1"),
        ("(a+)+b", "x", "too long"),
        (r"(?=a)a*\p{L}", "x", "not supported"),
    ],
)
def test_what_cannot_be_replaced_is_told(source, other, why):
    with pytest.raises(FhirPathError, match=why):
        replaced(source, "a" * 50, other, free)


def test_a_pattern_has_a_limit():
    with pytest.raises(FhirPathError, match="at most 2000"):
        pattern("a" * 2001)
