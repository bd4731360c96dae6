"""Conversion of values, ranges and results between units: exact arithmetic, rounded once."""

import itertools
import tomllib
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import aliases, data
from fhir_b12.datatypes import CodeableConcept, Quantity, Range
from fhir_b12.issues import Issue
from fhir_b12.records import Component, LabResult, ReferenceRange, VitalSign
from fhir_b12.ucum import parse
from fhir_b12.units import (
    Converted,
    code_of,
    convert,
    convert_range,
    convert_result,
)

CASES = tomllib.loads((Path(__file__).parent / "data" / "ucum.toml").read_text("utf-8"))

#: Groups of units of one dimension.
DIMENSIONS = (
    ("pg", "ng", "ug", "mg", "g", "kg", "[gr]", "[lb_av]"),
    ("fL", "uL", "mL", "dL", "L", "cm3"),
    ("pg/mL", "ng/L", "ng/dL", "ug/L", "mg/dL", "g/L"),
    ("/uL", "10*3/uL", "10*9/L", "10*12/L", "/mL"),
    ("mL/h", "mL/min", "L/d", "dL/wk"),
    ("mm[Hg]", "cm[H2O]", "kPa", "Pa"),
    ("s", "min", "h", "d", "wk", "mo", "a"),
    ("%", "[ppth]", "1", "10*-3"),
)
BY_ANALYTE = ("pg/mL", "ng/L", "pmol/L", "nmol/L", "mol/dL")
POWERS_OF_TEN = ("pg", "ng", "ug", "mg", "cg", "dg", "g", "kg")

digits = st.integers(1, 10**12 - 1)
values = st.builds(
    lambda n, e: Decimal((0, tuple(map(int, str(n))), e)), digits, st.integers(-9, 4)
)
pairs = st.sampled_from(
    [pair for dimension in DIMENSIONS for pair in itertools.permutations(dimension, 2)]
)
analytes = st.sampled_from(
    [key for key, row in data.toml("codes/analytes.toml").items() if "molar_mass" in row]
)
routes = st.one_of(
    pairs.map(lambda pair: (*pair, None)),
    st.tuples(st.permutations(BY_ANALYTE), analytes).map(lambda t: (*t[0][:2], t[1])),
)


def quantity(value, unit, **more):
    """Return a quantity; the unit is a UCUM code, or a text if it is a known unit text."""
    value = value if value is None else Decimal(value)
    if unit in aliases.units():
        return Quantity(value=value, unit=unit, **more)
    return Quantity(value=value, unit=unit, system=aliases.UCUM, code=unit, **more)


def converted_value(value, unit, to, analyte=None, **more):
    answer = convert(quantity(value, unit), to, analyte, **more)
    assert answer.issues == ()
    return answer.value.value


def significant_digits(value):
    return len(value.as_tuple().digits)


def coarsest_digit(*numbers):
    """Return the value of the last digit of the least precise number."""
    return Fraction(10) ** max(number.as_tuple().exponent for number in numbers)


def rows(section):
    return [
        pytest.param(row, id=f"{group}: {row.get('value', '')} {row['unit']} -> {row['to']}")
        for group, group_rows in CASES[section].items()
        for row in group_rows
    ]


@pytest.mark.parametrize("case", rows("conversions"))
def test_a_value_converts(case):
    answer = convert(quantity(case["value"], case["unit"]), case["to"], case.get("analyte"))
    code = code_of(case["to"])
    expected = Quantity(value=Decimal(case["gives"]), unit=code, system=aliases.UCUM, code=code)
    assert answer == Converted(expected)
    assert str(answer.value.value) == case["gives"]


@pytest.mark.parametrize("case", rows("conversions"))
def test_a_converted_value_converts_back(case):
    back = converted_value(case["gives"], case["to"], case["unit"], case.get("analyte"))
    assert str(back) == case.get("back", case["value"])


@pytest.mark.parametrize("case", rows("refusals"))
def test_units_without_a_conversion_are_an_error_with_a_reason(case):
    answer = convert(quantity("1", case["unit"]), case["to"], case.get("analyte"))
    where = f"Quantity{case['element']}"
    assert answer == Converted(None, (Issue("error", case["code"], where, case["message"]),))


@pytest.mark.parametrize(
    ("broken", "code", "element"),
    [
        (Quantity(unit="mg"), "required", ".value"),
        (Quantity(value=Decimal(1)), "required", ".code"),
        (Quantity(value=Decimal(1), unit="spoons"), "required", ".code"),
        (Quantity(value=Decimal(1), system=aliases.UCUM), "required", ".code"),
        (Quantity(value=Decimal(1), code="mg", system="http://snomed.info/sct"), "code-invalid", ".system"),
        (Quantity(value=Decimal("NaN"), unit="mg"), "value", ".value"),
        (Quantity(value=Decimal("-Infinity"), unit="mg"), "value", ".value"),
        (Quantity(value=Decimal("1E+999999"), unit="mg"), "value", ".value"),
        (Quantity(value=Decimal("1" * 401), unit="mg"), "value", ".value"),
        (Quantity(value=Decimal("1E-400"), unit="mg"), "value", ""),
    ],
)  # fmt: skip
def test_an_invalid_quantity_is_an_error_at_its_wrong_element(broken, code, element):
    answer = convert(broken, "kg", at="Observation.valueQuantity")
    issues = [(issue.severity, issue.code, issue.expression) for issue in answer.issues]
    assert (answer.value, issues) == (
        None, [("error", code, f"Observation.valueQuantity{element}")]
    )  # fmt: skip


def test_an_issue_message_has_no_values_of_the_quantity():
    original = Quantity(value=Decimal("31.4159"), unit="Jane", code="Doe", system=aliases.UCUM)
    message = convert(original, "mg").issues[0].message
    assert [text for text in ("31", "Jane", "Doe") if text in message] == []


def test_a_unit_text_is_read_and_a_ucum_code_is_written():
    assert convert(Quantity(value=Decimal(1000), unit="mcg"), "mg").value.unit == "mg"
    assert convert(Quantity(value=Decimal("1.0"), unit="mg"), "mcg").value.code == "ug"


def test_a_unit_text_in_the_code_is_read():
    original = Quantity(value=Decimal(1000), unit="mcg", system=aliases.UCUM, code="mcg")
    assert str(convert(original, "mg").value.value) == "1.000"


def test_conversion_keeps_comparator_and_extensions():
    original = quantity(
        "150", "pg/mL", comparator="<", extension=({"url": "https://example.org/x"},)
    )
    answer = convert(original, "pmol/L", "cobalamin").value
    assert (answer.comparator, answer.value) == ("<", Decimal(111))
    assert answer.extension == original.extension


def test_figures_sets_a_minimum_of_significant_digits():
    texts = [
        converted_value("180", "pg/mL", "pmol/L", "cobalamin", figures=n) for n in (0, 2, 4, 6)
    ]
    assert list(map(str, texts)) == ["133", "133", "132.8", "132.805"]


def test_a_quantity_in_the_target_unit_keeps_its_printed_unit():
    original = Quantity(value=Decimal(72), unit="beats per min.", system=aliases.UCUM, code="/min")
    assert convert(original, "bpm").value is original


@given(values, st.sampled_from(sorted(set(aliases.units().values()))))
def test_conversion_to_the_same_unit_returns_the_same_quantity(value, code):
    original = quantity(value, code)
    assert convert(original, code).value is original


@given(values, routes)
def test_a_converted_value_is_the_exact_value_rounded_once(value, route):
    unit, to, analyte = route
    answer = converted_value(value, unit, to, analyte)
    factor = Fraction(converted_value(Decimal(1), unit, to, analyte, figures=60))
    exact = Fraction(value) * factor
    assert abs(Fraction(answer) - exact) <= coarsest_digit(answer) * Fraction(501, 1000)
    assert significant_digits(answer) >= significant_digits(value)
    if unit not in {"min", "h", "d", "wk", "mo", "a"}:
        assert significant_digits(answer) == significant_digits(value)


@given(values, st.permutations(POWERS_OF_TEN))
def test_a_prefix_conversion_moves_only_the_decimal_point(value, units):
    answer = converted_value(value, units[0], units[1])
    assert answer.as_tuple().digits == value.as_tuple().digits
    assert str(converted_value(answer, units[1], units[0])) == str(value)


@given(values, routes)
def test_a_conversion_with_two_more_digits_is_reversible(value, route):
    unit, to, analyte = route
    there = converted_value(value, unit, to, analyte, figures=significant_digits(value) + 2)
    back = converted_value(there, to, unit, analyte)
    context = Context(prec=significant_digits(value), rounding=ROUND_HALF_EVEN)
    assert context.plus(back) == value


@given(values, st.sampled_from(DIMENSIONS).flatmap(st.permutations))
def test_converting_through_a_third_unit_changes_at_most_the_last_digit(value, units):
    first, between, to = units[:3]
    detour = converted_value(value, first, between, figures=significant_digits(value) + 1)
    around = Context(prec=significant_digits(value)).plus(converted_value(detour, between, to))
    straight = Context(prec=significant_digits(value)).plus(converted_value(value, first, to))
    assert abs(Fraction(around) - Fraction(straight)) <= coarsest_digit(around, straight)


@given(values, values, routes)
def test_conversion_preserves_the_order_of_values(one, other, route):
    more = max(significant_digits(one), significant_digits(other))
    low, high = sorted((one, other))
    assert converted_value(low, *route, figures=more) <= converted_value(high, *route, figures=more)


@given(digits, digits, st.permutations(POWERS_OF_TEN))
def test_a_sum_converts_to_the_sum_of_its_converted_parts(one, other, units):
    parts = [Fraction(converted_value(n, units[0], units[1])) for n in (one, other)]
    assert sum(parts) == Fraction(converted_value(one + other, units[0], units[1]))


@given(st.decimals(-90, 200, places=1))
def test_a_temperature_keeps_its_decimal_places_and_converts_back(value):
    fahrenheit = converted_value(value, "Cel", "[degF]")
    assert fahrenheit.as_tuple().exponent == -1
    assert converted_value(fahrenheit, "[degF]", "Cel") == value


@given(
    st.builds(
        Quantity,
        value=st.none() | st.decimals(),
        unit=st.none() | st.text(max_size=4) | st.sampled_from(sorted(aliases.units())),
        system=st.sampled_from([None, aliases.UCUM, "urn:oid:1"]),
        code=st.none() | st.text("mgL/.{}1[U]", max_size=5) | st.sampled_from(sorted(aliases.units())),
    ),
    st.sampled_from(sorted(aliases.units())) | st.text(max_size=4),
    st.sampled_from([None, "cobalamin", "nothing"]),
)  # fmt: skip
def test_any_quantity_gives_either_a_value_or_an_issue(original, to, analyte):
    answer = convert(original, to, analyte)
    assert (answer.value is None) == bool(answer.issues)


def reference(low=None, high=None, text=None, unit="pg/mL"):
    bounds = [None if bound is None else quantity(bound, unit) for bound in (low, high)]
    return ReferenceRange(low=bounds[0], high=bounds[1], text=text)


def b12_result(**fields):
    return LabResult(status="final", test=CodeableConcept(text="Serum B12"), **fields)


CODE = Issue(
    "warning", "business-rule", "Observation.code",
    "the code of the test may imply mass or amount: use one that fits the new unit",
)  # fmt: skip
NO_RANGE = "the text of the range is not converted: read it in its original unit"
CROSSED = "rounding moves the value across this bound: compare them in the original unit"


def test_a_range_converts_with_one_or_both_bounds():
    both = Range(low=quantity("180", "pg/mL"), high=quantity("914", "pg/mL"))
    answer = convert_range(both, "pmol/L", "cobalamin")
    assert answer == Converted(Range(low=quantity("133", "pmol/L"), high=quantity("674", "pmol/L")))
    assert convert_range(reference(low="180"), "pmol/L", "cobalamin") == Converted(
        reference(low="133", unit="pmol/L")
    )
    assert convert_range(Range(), "pmol/L") == Converted(Range())


def test_a_range_with_an_inconvertible_bound_does_not_convert():
    bounds = Range(low=quantity("180", "pg/mL"), high=Quantity(value=Decimal(914)))
    answer = convert_range(bounds, "ng/L", at="Observation.valueRange")
    assert answer.value is None
    assert [(i.code, i.expression) for i in answer.issues] == [
        ("required", "Observation.valueRange.high.code")
    ]


def test_the_text_of_a_range_is_not_converted_and_a_warning_is_reported():
    original = reference("180", "914", text="180-914 pg/mL")
    assert convert_range(original, "ng/L", at="Observation.referenceRange[0]") == Converted(
        reference("180", "914", text="180-914 pg/mL", unit="ng/L"),
        (Issue("warning", "incomplete", "Observation.referenceRange[0].text", NO_RANGE),),
    )


def test_a_result_converts_with_its_ranges_and_a_warning_about_its_code():
    original = b12_result(
        value=quantity("150", "pg/mL", comparator="<"),
        reference_range=(reference("180", "914"), reference(text="see report")),
        component=(Component(value_quantity=quantity("1", "pg/mL")),),
    )
    assert convert_result(original, "pmol/L", "cobalamin") == Converted(
        b12_result(
            value=quantity("111", "pmol/L", comparator="<"),
            reference_range=(
                reference("133", "674", unit="pmol/L"),
                reference(text="see report"),
            ),
            component=original.component,
        ),
        (Issue("warning", "incomplete", "Observation.referenceRange[1].text", NO_RANGE), CODE),
    )


def test_a_result_in_the_same_dimension_converts_without_a_warning():
    original = b12_result(
        value=quantity("150", "pg/mL"), reference_range=(reference("180", "914"),)
    )
    assert convert_result(original, "ng/L") == Converted(
        b12_result(
            value=quantity("150", "ng/L"), reference_range=(reference("180", "914", unit="ng/L"),)
        )
    )


def test_a_result_with_a_range_as_value_converts():
    original = b12_result(value_range=Range(low=quantity("180", "pg/mL")))
    assert convert_result(original, "pmol/L", "cobalamin") == Converted(
        b12_result(value_range=Range(low=quantity("133", "pmol/L"))), (CODE,)
    )


def test_a_bound_has_at_least_the_digits_of_the_value():
    original = b12_result(
        value=quantity("0.59", "mg/dL"), reference_range=(reference("0.6", "1.2", unit="mg/dL"),)
    )
    answer = convert_result(original, "umol/L", "creatinine").value
    bounds = answer.reference_range[0]
    assert [str(q.value) for q in (answer.value, bounds.low, bounds.high)] == ["52", "53", "1.1E+2"]


@pytest.mark.parametrize(
    ("value", "low", "issues"),
    [
        ("181", "182", [("value", "low")]),  # both become 134 pmol/L
        ("182", "182.0", [("value", "low")]),  # 134 and 134.3
        ("180", "182", []),
        ("182", "182", []),
    ],
)
def test_a_value_that_rounding_moves_across_a_bound_is_a_warning(value, low, issues):
    original = b12_result(value=quantity(value, "pg/mL"), reference_range=(reference(low=low),))
    expected = [
        Issue("warning", code, f"Observation.referenceRange[0].{name}", CROSSED)
        for code, name in issues
    ]
    assert list(convert_result(original, "pmol/L", "cobalamin").issues) == [*expected, CODE]


def test_a_bound_converts_from_its_own_unit():
    original = b12_result(
        value=quantity("150", "pg/mL"), reference_range=(reference("18.0", unit="ng/dL"),)
    )
    assert convert_result(original, "pmol/L", "cobalamin") == Converted(
        b12_result(
            value=quantity("111", "pmol/L"), reference_range=(reference("133", unit="pmol/L"),)
        ),
        (CODE,),
    )


def test_a_result_that_does_not_convert_has_all_errors_and_no_value():
    original = b12_result(
        value=quantity("150", "pg/mL"),
        reference_range=(
            reference("180", unit="IU"),
            ReferenceRange(high=Quantity(value=Decimal(900))),
            reference(text="no warning where nothing converts"),
        ),
    )
    answer = convert_result(original, "pmol/L")
    assert answer.value is None
    assert [(i.severity, i.code, i.expression) for i in answer.issues] == [
        ("error", "required", "Observation.valueQuantity"),
        ("error", "not-supported", "Observation.referenceRange[0].low"),
        ("error", "required", "Observation.referenceRange[1].high.code"),
    ]


@pytest.mark.parametrize(
    "original", [b12_result(), b12_result(value_string="<150"), b12_result(value_range=Range())]
)
def test_a_result_without_quantity_does_not_convert(original):
    what = "the result has no quantity to convert: add a value"
    assert convert_result(original, "ng/L") == Converted(
        None, (Issue("error", "required", "Observation.valueQuantity", what),)
    )


def test_a_vital_sign_converts():
    original = VitalSign(
        status="final", test=CodeableConcept(text="Temperature"), value=quantity("38.5", "Cel"),
        reference_range=(reference("36", "37.5", unit="Cel"),),
    )  # fmt: skip
    answer = convert_result(original, "[degF]")
    bounds = answer.value.reference_range[0]
    assert [str(q.value) for q in (answer.value.value, bounds.low, bounds.high)] == [
        "101.3",
        "97",
        "99.5",
    ]
    assert answer.issues == ()


@pytest.mark.parametrize("power", [2, -2])
def test_a_power_of_a_ratio_multiplies_its_cancelled_units(power):
    ratio = parse("ug/g")
    assert ratio.cancelled != {}
    assert (ratio**power).cancelled == {
        name: 2 * exponent for name, exponent in ratio.cancelled.items()
    }
