"""UCUM: what a code means, what is none, and what senders write for it."""

import bz2
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_b12 import aliases, data
from fhir_b12.ucum import UnitError, parse
from fhir_b12.units import code_of

CASES = tomllib.loads((Path(__file__).parent / "data" / "ucum.toml").read_text("utf-8"))
GRAMMAR = CASES["grammar"]
EXAMPLES = CASES["examples"]
UNITS = data.toml("units.toml")


@pytest.mark.parametrize("codes", GRAMMAR["same"], ids=lambda codes: codes[0])
def test_equivalent_spellings_of_a_unit_are_equal(codes):
    meanings = [(parse(code).factor, parse(code).dimension) for code in codes]
    assert meanings == [meanings[0]] * len(codes)


@pytest.mark.parametrize("code", GRAMMAR["refused"])
def test_invalid_ucum_is_an_error(code):
    with pytest.raises(UnitError):
        parse(code)


@pytest.mark.parametrize(("code", "dimension"), GRAMMAR["dimensions"].items())
def test_an_atom_comes_before_a_prefix(code, dimension):
    assert parse(code).dimension == dimension


@given(st.one_of(st.text(max_size=120), st.text("mgLl/.*^0123(){}[]IU%'", max_size=30)))
def test_any_text_is_a_unit_or_an_error(text):
    assert all(parse(code).factor > 0 for code in accepted([text]))


def test_every_atom_has_a_definition_a_name_and_a_ucum_section():
    for symbol, row in UNITS["atoms"].items():
        assert parse(symbol).factor > 0, symbol
        assert row["name"], symbol
        assert row["source"].startswith("https://ucum.org/ucum#"), symbol


def test_every_kind_has_one_name():
    kinds = {name: parse(code) for name, code in UNITS["kinds"].items()}
    assert {name: unit.kind for name, unit in kinds.items()} == {name: name for name in kinds}


def test_every_unit_that_a_code_table_names_has_a_dimension():
    for path in data.mappings().joinpath("codes").iterdir():
        if not path.name.endswith(".toml"):
            continue
        for row in data.toml(f"codes/{path.name}").values():
            if "unit" in row:
                assert parse(row["unit"]).dimension or row["unit"] == "%", row


def test_every_unit_of_the_demo_is_valid_ucum():
    course = data.read(data.mappings(), "demo/course.json")
    assert sorted(ucum_codes(json.loads(course)) - accepted(ucum_codes(json.loads(course)))) == []


def test_units_of_the_public_examples_are_known_except_invalid_ones():
    assert [code for code in EXAMPLES["valid"] if not accepted([code])] == []
    assert accepted(EXAMPLES["invalid"]) == set()


def test_every_unit_of_the_public_examples_is_a_unit_or_an_error(fixtures):
    unit_codes = set()
    for folder in ("synthea", "us-core", "r4-examples"):
        for path in (fixtures / folder).rglob("*.json*"):
            text = path.read_bytes()
            unit_codes |= ucum_codes(
                json.loads(bz2.decompress(text) if path.suffix == ".bz2" else text)
            )
    assert unit_codes >= {*EXAMPLES["valid"], *EXAMPLES["invalid"]}
    accepted(unit_codes)


def ucum_codes(value):
    if isinstance(value, list):
        return set().union(*map(ucum_codes, value))
    if not isinstance(value, dict):
        return set()
    own = {value["code"]} if value.get("system") == aliases.UCUM and "code" in value else set()
    return own.union(*map(ucum_codes, value.values()))


def accepted(codes):
    def is_unit(code):
        try:
            return bool(parse(code))
        except UnitError:
            return False

    return {code for code in codes if is_unit(code)}


def test_every_spelling_means_a_valid_unit():
    codes = set(aliases.units().values())
    assert codes - accepted(codes) == set()


def test_a_spelling_means_one_unit_only():
    texts = [text for code, texts in UNITS["spellings"].items() for text in (code, *texts)]
    assert sorted({text for text in texts if texts.count(text) > 1}) == []


def test_a_spelling_that_is_a_ucum_code_means_that_code():
    """But for `K/uL`, kelvins to whoever knows UCUM and thousands to everybody else."""
    texts = accepted(aliases.units())
    assert sorted(text for text in texts if parse(text) != parse(code_of(text))) == ["K/uL", "K/ul"]


def test_both_micro_characters_are_read():
    assert code_of("\u00b5g") == code_of("\u03bcg") == "ug"
    assert code_of("\u00b5mol/L") == code_of("\u03bcmol/L") == "umol/L"


def test_an_ambiguous_text_is_not_a_spelling():
    ambiguous = {"C", "F", "U", "m", "M", "mU", "AU/mL", "U/mL", "units", "gtt", "drops", "T", "c"}
    assert ambiguous & aliases.units().keys() == set()
