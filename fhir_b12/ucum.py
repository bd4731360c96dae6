"""UCUM codes as units: a factor, the powers of the base units, and an offset.

https://ucum.org/ucum

    parse("pg/mL").kind  # "mass concentration"

Data: mappings/units.toml.
"""

import re
from fractions import Fraction
from functools import cache, lru_cache

import msgspec
from msgspec.structs import replace

from fhir_b12 import data

Powers = dict[str, int]  #: dimension, or `{annotation}` -> its power, never 0

_LONGEST_CODE = 100  #: characters; limits the nesting of parentheses
_COMPONENT = re.compile(
    r"(?:(?P<symbol>10[*^]|(?:[A-Za-z_%']|\[[^\[\]{}\s]+\])+)(?P<power>[+-]?\d{1,2})?"
    r"|(?P<factor>[1-9]\d{0,8}))?(?P<label>\{[!-z|~]*\})?",
    re.ASCII,
)


class UnitError(ValueError):
    """Error for a text that is not a known UCUM unit."""


class Unit(msgspec.Struct, frozen=True):
    """Meaning of a UCUM code: a factor to the base units of its dimension.

    `{annotations}` count as dimensions: a `{score}` does not convert to any other unit.
    """

    factor: Fraction = Fraction(1)
    dimension: Powers = {}
    cancelled: Powers = {}  #: dimensions that a ratio cancels: mass in ug/g, amount in mmol/mol
    offset: Fraction = Fraction(0)  #: base units at the scale's zero: 273.15 K for Cel

    def __mul__(self, other: "Unit") -> "Unit":
        """Return the product of two units, `mL.kg`.

        Raises:
            UnitError: one of them is a temperature scale with an offset, such as Cel.

        """
        if self == ONE:
            return other
        if other == ONE:
            return self
        if self.offset or other.offset:
            raise UnitError("a temperature scale stands alone; use K in a product")
        names = self.dimension.keys() & other.dimension.keys()
        opposite = {
            name: min(abs(self.dimension[name]), abs(other.dimension[name]))
            for name in names
            if self.dimension[name] * other.dimension[name] < 0
        }
        return Unit(
            self.factor * other.factor,
            add_powers(self.dimension, other.dimension),
            add_powers(add_powers(self.cancelled, other.cancelled), opposite),
        )

    def __pow__(self, power: int) -> "Unit":
        """Return a power of the unit, `m2` or `s-1`.

        Raises:
            UnitError: it is a temperature scale with an offset, such as Cel.

        """
        if power == 1:
            return self
        if self.offset:
            raise UnitError("a temperature scale has no powers; use K")
        return Unit(
            self.factor**power,
            {name: own * power for name, own in self.dimension.items() if power},
            {name: own * abs(power) for name, own in self.cancelled.items() if power},
        )

    @property
    def kind(self) -> str:
        """Quantity that the unit measures, in words: `mass concentration`."""
        plain = {name: power for name, power in self.dimension.items() if name[0] != "{"}
        for name, code in data.toml("units.toml")["kinds"].items():
            if parse(code).dimension == plain:
                return str(name)
        return " ".join(f"{name}^{power}" for name, power in sorted(plain.items()))


ONE = Unit()


def add_powers(left: Powers, right: Powers) -> Powers:
    """Return the sum of the powers of each dimension, without zeros."""
    both = {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}
    return {name: power for name, power in both.items() if power}


@lru_cache(maxsize=1024)
def parse(code: str) -> Unit:
    """Return the meaning of a UCUM code.  https://ucum.org/ucum#section-Syntax-Rules

    Raises:
        UnitError: the code is not UCUM, or has a unit that is missing in mappings/units.toml.

    """
    if not code or len(code) > _LONGEST_CODE:
        raise UnitError(f"a unit has 1 to {_LONGEST_CODE} characters")
    unit, end = _parse_product(code, ONE, 0) if code[0] == "/" else _parse_term(code, 0)
    if end < len(code):
        raise UnitError(f"not a UCUM unit from its character {end + 1} on")
    return unit


def _parse_term(code: str, start: int) -> tuple[Unit, int]:
    """Parse a component and all that `.` and `/` join to it; return the unit and its end."""
    return _parse_product(code, *_parse_component(code, start))


def _parse_product(code: str, unit: Unit, end: int) -> tuple[Unit, int]:
    """Multiply a unit by the components after it, from left to right: `a/b.c` is `(a/b).c`."""
    while code[end : end + 1] in {".", "/"}:
        sign = 1 if code[end] == "." else -1
        part, end = _parse_component(code, end + 1)
        unit *= part**sign
    return unit, end


def _parse_component(code: str, start: int) -> tuple[Unit, int]:
    """Parse one component: a unit with its power and annotation, a factor, or parentheses."""
    if code.startswith("(", start):
        unit, end = _parse_term(code, start + 1)
        if not code.startswith(")", end):
            raise UnitError(f"the parenthesis at character {start + 1} does not close")
        return unit, end + 1
    match = _COMPONENT.match(code, start)
    if match is None or match.end() == start:
        raise UnitError(f"not a UCUM unit from its character {start + 1} on")
    unit = Unit(Fraction(match["factor"] or 1))
    if match["symbol"]:
        unit = _unit_of_symbol(match["symbol"]) ** int(match["power"] or 1)
    if match["label"]:
        unit *= Unit(dimension={match["label"]: 1})
    return unit, match.end()


def _unit_of_symbol(symbol: str) -> Unit:
    """Return the unit of an atom, or of a prefix and a metric atom: `mm` is milli and m."""
    atoms, prefixes = (data.toml("units.toml")[name] for name in ("atoms", "prefixes"))
    if symbol in atoms:
        return _atom(symbol)
    for size in (1, 2):
        prefix, rest = symbol[:size], symbol[size:]
        if prefix in prefixes and atoms.get(rest, {}).get("metric"):
            atom = _atom(rest)
            return replace(atom, factor=atom.factor * Fraction(10) ** prefixes[prefix])
    raise UnitError(f"unknown unit {symbol!r}; add it to mappings/units.toml")


@cache
def _atom(symbol: str) -> Unit:
    """Return the unit of an atom of mappings/units.toml."""
    row = data.toml("units.toml")["atoms"][symbol]
    if "dimension" in row:
        return Unit(dimension={row["dimension"]: 1})
    unit, value = parse(row["unit"]), Fraction(row["value"])
    return Unit(unit.factor * value, unit.dimension, offset=Fraction(row.get("offset", 0)) * value)


__all__ = ["ONE", "Powers", "Unit", "UnitError", "add_powers", "parse"]
