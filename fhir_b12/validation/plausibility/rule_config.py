"""Which plausibility rules are on, and the numbers they use.  Data: mappings/plausibility.toml"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from fhir_b12 import codes, data, units
from fhir_b12.caching import learned
from fhir_b12.data import TableError
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding

_FILE = "plausibility.toml"
_ID = 6  #: characters of a rule's id, "OBS-03"; what follows tells apart its wordings


class Facts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one rule needs to know; tests, drugs, ... are keys of the code tables."""

    source: str
    on: bool = True  #: whether it runs where nobody says
    tests: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()  #: other tests that it looks at
    drugs: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()
    conditions: tuple[str, ...] = ()
    reactions: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()  #: the code systems whose wider codes count
    words_of: str | None = None  #: the row of conditions.toml whose spellings count
    words: tuple[str, ...] = ()
    siblings: tuple[tuple[str, str], ...] = ()  #: tests, by mass and by amount of substance
    unit: str | None = None  #: of the limits, UCUM
    above: Decimal | None = None
    below: Decimal | None = None
    least: Decimal | None = None
    exactly: Decimal | None = None
    below_for: Mapping[str, Decimal] = {}
    low_from: Mapping[str, Decimal] = {}
    low_to: Mapping[str, Decimal] = {}
    percent: int = 0
    days: int = 0
    hours: int = 0


_TABLES = {
    "tests": "lab_tests",
    "beside": "lab_tests",
    "drugs": "drugs",
    "routes": "routes",
    "conditions": "conditions",
    "reactions": "reactions",
    "low_from": "lab_tests",
    "low_to": "lab_tests",
    "below_for": "drugs",
}


@cache
def all_facts() -> Mapping[str, Facts]:
    """The facts of every rule by its id.

    Raises:
        TableError: a fact is unknown, of a wrong kind, or names what no table has; all are listed.

    """
    known: dict[str, Facts] = {}
    slips: list[str] = []
    for name, row in data.toml(_FILE).items():
        if name == "left_out":
            continue
        try:
            known[name] = _facts(row)
            slips += [f"{_FILE}: {name}: {slip}" for slip in _slips(known[name])]
        except msgspec.ValidationError as error:
            slips.append(f"{_FILE}: {name}: {error}")
    if slips:
        raise TableError("\n".join(slips))
    return known


def _facts(row: Any) -> Facts:
    # TOML has whole numbers and others; a limit is a Decimal either way
    return msgspec.convert(row, learned(Facts), builtin_types=(Decimal,), strict=False)


def _slips(facts: Facts) -> Iterator[str]:
    for field, name in _TABLES.items():
        for key in getattr(facts, field):
            if key not in codes.table(name):
                yield f"{field}: no {key!r} in codes/{name}.toml"
    for key in (key for pair in facts.siblings for key in pair):
        if key not in codes.table("lab_tests"):
            yield f"siblings: no {key!r} in codes/lab_tests.toml"
    if facts.words_of is not None and facts.words_of not in codes.table("conditions"):
        yield f"words_of: no {facts.words_of!r} in codes/conditions.toml"
    if facts.unit is not None:
        try:
            units.parse(facts.unit)
        except units.UnitError as error:
            yield f"unit: {error}"


@cache
def left_out() -> Mapping[str, str]:
    """The rules of the source that are not checked, and why."""
    return dict(data.toml(_FILE)["left_out"])


@cache
def facts(rule: str) -> Facts:
    """What one rule needs to know."""
    return all_facts()[rule]


@cache
def _off_by_default() -> frozenset[str]:
    return frozenset(name for name, each in all_facts().items() if not each.on)


def switched_off(context: ResourceContext) -> frozenset[str]:
    """The ids of the rules that do not run: off in the data or by the user, and not switched on."""
    validator = context.validator
    wanted: frozenset[str] = frozenset(getattr(validator, "switched_on", ()))
    return (_off_by_default() - wanted) | frozenset(getattr(validator, "switched_off", ()))


def say(
    context: ResourceContext, found: list[Finding], rule: str, /, *path: str | int, **values: Any
) -> None:
    """Append a finding unless its rule is off; `rule` is an id, or an id and which wording."""
    key = rule[:_ID]
    if key not in switched_off(context):
        found.append(Finding(rule, *path, key=key, **values))
