"""RE2 gives the results of Python's engine, in bounded time."""

import re
import subprocess
import sys
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fhir_b12.regular_expressions import MAX_WORK, PatternError, compile_pattern

ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "[]a]", r"\d", r"\w", r"\s", r"\.", "^", "$", r"\b", r"\B", "é"]
)


def combined(inner):
    repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])
    return (
        st.tuples(inner, inner).map("".join)
        | st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})")
        | st.tuples(inner, repeats).map(lambda pair: f"(?:{pair[0]}){pair[1]}")
    )


PATTERNS = st.recursive(ATOMS, combined, max_leaves=6)


def free(_steps):
    """A budget that never ends."""


def replace(source, text, template, max_length=1_000):
    return compile_pattern(source).replace(text, template, free, max_length)


@given(PATTERNS, st.text(alphabet="ab1. \né", max_size=8))
def test_results_are_those_of_pythons_engine(source, text):
    assume(text)  # Python before 3.14 finds no \\B in an empty text
    python = re.compile(source.replace("$", r"\Z"), re.DOTALL | re.ASCII)
    pattern = compile_pattern(source)
    assert pattern.fullmatch(text) == bool(python.fullmatch(text))
    assert pattern.search(text) == bool(python.search(text))


@pytest.mark.parametrize(
    ("source", "text", "matches"),
    [
        ("a.c", "a\nc", True),
        ("^abc$", "abc\n", False),
        ("^abc$", "abc", True),
        (r"\d", "٣", False),
        (r"\w", "é", False),
        (r"^\p{Lu}\P{Lu}+$", "Éa", True),
        (r"^\p{Lu}\P{Lu}+$", "ÉA", False),
        (r"\u00e9", "é", True),
        (r"\\u00e9", "é", False),
        (r"\\u00e9", r"\u00e9", True),
    ],
)
def test_classes_anchors_and_escapes(source, text, matches):
    assert compile_pattern(source).search(text) is matches


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(?=a)", "invalid perl operator"),
        ("(?<!a)b", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("a++", "bad repetition operator"),
        (r"a\Z", "invalid escape sequence"),
        ("(", "missing )"),
        ("a)", "unexpected )"),
        ("[", "missing ]"),
        ("*", "no argument for repetition operator"),
        ("a{1001}", "invalid repetition size"),
        ("((a{1,99}){1,99}){1,99}", "invalid repetition size"),
        (r"(\pL{1,99}){1,9}", "pattern too large - compile failed"),
    ],
)
def test_a_pattern_that_re2_cannot_run_is_an_error_with_its_reason(source, reason):
    with pytest.raises(PatternError) as raised:
        compile_pattern(source)
    assert str(raised.value) == (
        f"the regular expression cannot be run ({reason}): "
        "use RE2 syntax, without look-around and back references"
    )


def test_a_pattern_has_at_most_2000_characters():
    assert compile_pattern("a" * 2000).fullmatch("a" * 2000)
    with pytest.raises(PatternError, match="more than 2000 characters"):
        compile_pattern("a" * 2001)


@pytest.mark.parametrize("source", ["(a+)+b", "(a|a)*b", "(a?){100}a{100}b", "(x+x+)+y"])
def test_matching_time_is_linear_in_the_text(source):
    start = time.thread_time()
    assert not compile_pattern(source).search("a" * 50_000)
    assert time.thread_time() - start < 2


def test_a_text_too_long_for_a_large_pattern_is_an_error():
    pattern = compile_pattern("((a{1,99}){1,9})b")
    text = "a" * (MAX_WORK // pattern.size + 1)
    for call in (pattern.search, pattern.fullmatch, pattern.steps):
        with pytest.raises(PatternError, match="too long for this regular expression"):
            call(text)
    assert pattern.search(text[:-1]) is False


def test_a_search_costs_more_steps_for_a_longer_text_and_a_larger_pattern():
    small, large = compile_pattern("a"), compile_pattern("a{500}")
    assert small.steps("") == 1
    assert small.steps("a" * 100_000) > small.steps("a" * 1_000)
    assert large.steps("a" * 1_000) > small.steps("a" * 1_000)


def test_half_a_surrogate_pair_is_an_error():
    with pytest.raises(PatternError, match="half a surrogate pair"):
        compile_pattern("a").search("\ud800")
    with pytest.raises(PatternError, match="half a surrogate pair"):
        compile_pattern("\ud800")


@pytest.mark.parametrize(
    ("source", "text", "template", "result"),
    [
        ("a", "banana", "o", "bonono"),
        ("(a)(n)", "banana", "$2$1", "bnanaa"),
        ("a", "banana", r"\$1", "b$1n$1n$1"),
        ("x*", "ab", "-", "-a-b-"),
        ("x*", "é", "-", "-é-"),
        ("(x)?a", "a", "[$1]", "[]"),
        ("", "ab", "-", "ab"),
        ("(a+)+b", "a" * 50, "x", "a" * 50),
    ],
)
def test_matches_are_replaced_by_the_template(source, text, template, result):
    assert replace(source, text, template) == result


def test_a_template_names_groups_that_exist():
    with pytest.raises(PatternError, match="has no group 1"):
        replace("a", "a", "$1")


def test_replacements_are_bounded_in_length_and_cost():
    assert replace("a", "aaa", "bb", 6) == "bbbbbb"
    with pytest.raises(PatternError, match="more than 5 characters"):
        replace("a", "aaa", "bb", 5)
    spent = []
    compile_pattern("a").replace("aaa", "b", spent.append, 10)
    assert len(spent) == 3


def test_re2_is_imported_with_the_first_pattern():
    program = (
        "import sys; import fhir_b12.validation, fhir_b12.fhirpath; print('re2' in sys.modules);"
        "from fhir_b12.regular_expressions import compile_pattern;"
        "compile_pattern('a'); print('re2' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["False", "True"]
