"""Whatever is written as an expression: a result or a FhirPathError, and soon."""

import time
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_b12 import fhirpath
from fhir_b12.fhirpath import FhirPathError, StandaloneEnvironment, evaluation
from fhir_b12.fhirpath.function_registry import FUNCTIONS

PATIENT = {
    "resourceType": "Patient",
    "id": "a",
    "active": True,
    "birthDate": "1974-12",
    "_birthDate": {"extension": [{"url": "http://example.org/x", "valueDecimal": Decimal("1.50")}]},
    "name": [{"given": ["A", None], "_given": [None, {"id": "g"}]}, {"family": "B"}],
    "contained": [
        {
            "resourceType": "Observation",
            "id": "o",
            "valueQuantity": {
                "value": Decimal(5),
                "code": "mg",
                "system": "http://unitsofmeasure.org",
            },
            "effectiveDateTime": "2026-03-09T09:15:00+01:00",
        }
    ],
    "managingOrganization": {"reference": "#o"},
}
WORDS = [
    *(f"{name}(" for name in sorted(FUNCTIONS)),
    *[
        ".",
        ",",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "+",
        "-",
        "*",
        "/",
        "&",
        "|",
        "=",
        "!=",
        "~",
        "!~",
        "<",
        "<=",
        ">",
        ">=",
    ],
    *["and", "or", "xor", "implies", "in", "contains", "is", "as", "div", "mod", "true", "false"],
    *["$this", "$index", "$total", "%resource", "%context", "%ucum", "%`ext-x`", "%nothing"],
    *[
        "0",
        "1",
        "2",
        "2147483647",
        "0.5",
        "1e5",
        "'a'",
        "''",
        "'(a+)+'",
        "'1974-12'",
        "'http://example.org/x'",
        "'mg'",
    ],
    *["@2015", "@2015-02-29", "@T12:30", "@2015-01-01T10:00:00Z", "days", "'g'", "year", "seconds"],
    *["name", "given", "birthDate", "value", "extension", "contained", "id", "active", "effective"],
    *[
        "Quantity",
        "FHIR.string",
        "System.Integer",
        "Patient",
        "Observation",
        "Nonsense",
        "//",
        "/*",
        "*/",
        "`",
        '"',
        ";",
        "#",
        "é",
    ],
]
TERMS = st.sampled_from(
    [
        *("1", "0", "-2", "0.5", "2147483647", "'a'", "'(a|b)*'", "'1974-12-25'", "true", "{}"),
        *(
            "@2015",
            "@T10",
            "@2015-01-01T10:00:00Z",
            "1 'mg'",
            "3 days",
            "$this",
            "$index",
            "$total",
        ),
        *("name", "name.given", "birthDate", "active", "contained.value", "contained.effective"),
        *("contained", "descendants()", "%resource", "managingOrganization.resolve()"),
    ]
)
SIGNS = [
    "+",
    "-",
    "*",
    "/",
    "div",
    "mod",
    "&",
    "|",
    "=",
    "!=",
    "~",
    "!~",
    "<",
    "<=",
    ">",
    ">=",
    "and",
    "or",
    "xor",
    "implies",
    "in",
    "contains",
]
CALLS = [
    (name, function.min_arguments, len(function.arguments), function.arguments)
    for name, function in sorted(FUNCTIONS.items())
]


def calls(inner):
    """A function with as many arguments as it takes."""

    def of(call):
        name, min_arguments, most, modes = call
        kinds = st.sampled_from(["Quantity", "string", "System.String", "Patient"])
        given_ = [kinds if mode == "type" else inner for mode in modes]
        return st.integers(min_arguments, most).flatmap(
            lambda count: st.tuples(inner, *given_[:count]).map(
                lambda parts: f"({parts[0]}).{name}({', '.join(parts[1:])})"
            )
        )

    return st.sampled_from(CALLS).flatmap(of)


def grown(inner):
    signs = st.tuples(inner, st.sampled_from(SIGNS), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})")
    index = st.tuples(inner, inner).map(lambda p: f"({p[0]})[{p[1]}]")
    return signs | calls(inner) | index


def evaluate(expression, resource=PATIENT):
    """Evaluate an expression; return the result or the refusal."""
    try:
        compiled = fhirpath.compile(expression)
        return compiled.evaluate(
            resource, resource["resourceType"], StandaloneEnvironment(resource)
        )
    except FhirPathError as error:
        return error


def run(expression, resource=PATIENT):
    """A result or a refusal: anything else fails the test."""
    try:
        compiled = fhirpath.compile(expression)
        compiled.is_satisfied(resource, resource["resourceType"], StandaloneEnvironment(resource))
        compiled.locate(resource, resource["resourceType"], StandaloneEnvironment(resource))
        return compiled.evaluate(
            resource, resource["resourceType"], StandaloneEnvironment(resource)
        )
    except FhirPathError as error:
        return error


@given(st.text(max_size=40))
def test_any_text_evaluates_or_raises_a_fhirpath_error(text):
    run(text)


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_any_tokens_evaluate_or_raise_a_fhirpath_error(words):
    run(" ".join(words))


@given(st.recursive(TERMS, grown, max_leaves=12))
@example("descendants().aggregate($total & 'a', '') ")
def test_any_valid_expression_evaluates_or_raises_a_fhirpath_error(expression):
    run(expression)


LARGE = {
    "resourceType": "Bundle",
    "entry": [{"resource": PATIENT | {"name": [{"given": ["A"] * 2000}] * 50}}],
}
ON_LARGE = {
    "equal to itself, often": "descendants().where(%resource = %resource)",
    "equivalent to itself, often": "descendants().where(%resource ~ %resource)",
    "one of itself, often": "descendants().select(%resource | $this)",
    "all with all": "descendants() ~ descendants().skip(1).combine(%resource)",
    "in all": "descendants().where($this in %resource.descendants())",
    "distinct": "descendants().distinct()",
}
HOSTILE = {
    "deep parentheses": "(" * 5000 + "1" + ")" * 5000,
    "many signs": "-" * 5000 + "1",
    "a long chain": "name" + ".given" * 5000,
    "a long row": " or ".join(["active"] * 5000),
    "mixed rows": "1" + " + 1 - 1" * 5000,
    "nested calls": "where(" * 2000 + "true" + ")" * 2000,
    "many brackets": "name" + "[0]" * 5000,
    "too long": "1 +" * 100_000,
    "selections in selections": ".select(%resource.descendants())".join(["descendants()"] * 12),
    "ever more": "name.repeat($this | %resource.descendants() | $index)",
    "no end": "1.repeat($this + 1)",
    "doubling text": "descendants().aggregate($total & $total, 'aaaaaaaa')" * 1,
    "doubling a long text": "('a' | 'b')" + ".select($this & $this)" * 60,
    "doubling a collection": "name"
    + ".combine($this.name)" * 40
    + ".select(%resource.descendants())" * 6,
    "doubling in place": "(1|2)" + ".select(1.combine(1)).select($this.combine($this))" * 20,
    "a high power": "9.9.power(999999999)",
    "a power of a power": "2147483647" + ".power(2147483647)" * 20,
    "a large exponential": "2147483647.exp()",
    "many places": "1.5.round(2147483647)",
    "a regular expression without end": "'" + "a" * 5000 + "'.matches('(a+)+b')",
    "one with choices": "'" + "a" * 5000 + "b'.matches('^(a|a)*$')",
    "one that looks around": "'" + "a" * 5000 + "'.matches('(?=(a+)+b)a')",
    "one that refers back": "'" + "a" * 5000 + "'.matches('(a*)*\\\\1b')",
    "one with many states": "'aaa'.matches('((a{1,999}){1,999}){1,999}')",
    "one of nothing": "'aaa'.matches('((){65535}){65535}')",
    "a replacement without end": "'" + "a" * 5000 + "'.replaceMatches('(a+)+b', 'x')",
    "a growing replacement": "'aaaaaaaaaa'" + ".replaceMatches('a', 'aaaaaaaaaa')" * 12,
    "growing by parts": "'aaaaaaaaaa'" + ".replace('a', 'aaaaaaaaaa')" * 12,
}


@pytest.fixture(params=[10, pytest.param(1, marks=pytest.mark.slow)])
def fraction(request, monkeypatch):
    """Divide the step limit: an expression that spends all steps takes seconds with the real one."""
    monkeypatch.setattr(evaluation, "MAX_STEPS", evaluation.MAX_STEPS // request.param)
    return request.param


def time_of(expression, resource):
    """Return the seconds of processor time that an evaluation takes."""
    begun = time.thread_time()
    evaluate(expression, resource)
    return time.thread_time() - begun


@pytest.mark.parametrize("expression", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_expression_ends_quickly(expression, fraction):
    assert time_of(expression, PATIENT) < 1 + 4 / fraction


@pytest.mark.parametrize("expression", ON_LARGE.values(), ids=ON_LARGE)
def test_a_hostile_expression_ends_quickly_on_a_large_resource(expression, fraction):
    assert time_of(expression, LARGE) < 1 + 9 / fraction


@pytest.mark.usefixtures("fraction")
def test_an_endless_repetition_exceeds_the_step_limit():
    assert "steps" in str(evaluate("1.repeat($this + 1)"))


def test_a_compiled_expression_is_cached():
    assert fhirpath.compile("name.given") is fhirpath.compile("name.given")


def test_a_long_expression_is_not_cached():
    long = " or ".join(["name.given.exists()"] * 200)
    assert fhirpath.compile(long) is not fhirpath.compile(long)


def test_an_error_names_reason_and_column():
    with pytest.raises(FhirPathError) as caught:
        fhirpath.compile("name.where(use = 'x').nothing()")
    assert (caught.value.reason, caught.value.column) == (
        "unknown function nothing(); did you mean not?",
        23,
    )


def test_an_evaluation_error_has_its_column_and_no_value():
    error = run("active and name.given.single() = 'A'", PATIENT | {"name": [{"given": ["A", "B"]}]})
    assert (error.reason, error.column) == ("single() requires at most one item and has 2", 23)
