"""Configuration of the plausibility rules.  Data: mappings/plausibility.toml"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from fhir_b12 import codes, data, ucum
from fhir_b12.caching import known_to_msgspec
from fhir_b12.data import TableError
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding

_FILE = "plausibility.toml"
_OMITTED = "omitted"  #: the table of rules that are not implemented
_ID_LENGTH = 6  #: of "OBS-03"; what follows distinguishes the messages of one rule


class RuleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of one rule; tests, drugs, ... are keys of code tables."""

    source: str  #: of its numbers
    on: bool = True  #: whether the rule runs by default
    tests: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()  #: other tests that the rule looks at
    drugs: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()
    conditions: tuple[str, ...] = ()
    reactions: frozenset[str] = frozenset()
    systems: frozenset[str] = frozenset()  #: code systems whose broader codes count
    words_of: str | None = None  #: row of conditions.toml whose spellings count
    words: tuple[str, ...] = ()
    siblings: tuple[tuple[str, str], ...] = ()  #: tests by mass and by amount of substance
    unit: str | None = None  #: UCUM unit of the limits
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


#: The code table of the keys in a field.
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
def rule_configs() -> Mapping[str, RuleConfig]:
    """Return the configuration of every rule by its id.

    Raises:
        TableError: The file has errors; the message lists all of them.

    """
    configs: dict[str, RuleConfig] = {}
    errors: list[str] = []
    for rule, row in data.toml(_FILE).items():
        if rule == _OMITTED:
            continue
        try:
            configs[rule] = _parse_config(row)
            errors += [f"{_FILE}: {rule}: {error}" for error in _errors_of(configs[rule])]
        except msgspec.ValidationError as error:
            errors.append(f"{_FILE}: {rule}: {error}")
    if errors:
        raise TableError("\n".join(errors))
    return configs


def _parse_config(row: Any) -> RuleConfig:
    # TOML has integers and floats; a limit is a Decimal in both cases
    return msgspec.convert(
        row, known_to_msgspec(RuleConfig), builtin_types=(Decimal,), strict=False
    )


def _errors_of(config: RuleConfig) -> Iterator[str]:
    """Yield the keys and units of a configuration that do not exist."""
    for field, table_name in _TABLES.items():
        for key in getattr(config, field):
            if key not in codes.table(table_name):
                yield f"{field}: no {key!r} in codes/{table_name}.toml"
    for key in (key for pair in config.siblings for key in pair):
        if key not in codes.table("lab_tests"):
            yield f"siblings: no {key!r} in codes/lab_tests.toml"
    if config.words_of is not None and config.words_of not in codes.table("conditions"):
        yield f"words_of: no {config.words_of!r} in codes/conditions.toml"
    if config.unit is not None:
        try:
            ucum.parse(config.unit)
        except ucum.UnitError as error:
            yield f"unit: {error}"


@cache
def omitted_rules() -> Mapping[str, str]:
    """Return the rules of the source that are not implemented, with the reason."""
    return dict(data.toml(_FILE)[_OMITTED])


@cache
def rule_config(rule: str) -> RuleConfig:
    """Return the configuration of a rule: "OBS-03"."""
    return rule_configs()[rule]


@cache
def _off_by_default() -> frozenset[str]:
    return frozenset(rule for rule, config in rule_configs().items() if not config.on)


def disabled_rules(context: ResourceContext) -> frozenset[str]:
    """Return the ids of the rules that are off, by default or by the user."""
    validator = context.validator
    switched_on: frozenset[str] = frozenset(getattr(validator, "switched_on", ()))
    switched_off: frozenset[str] = frozenset(getattr(validator, "switched_off", ()))
    return (_off_by_default() - switched_on) | switched_off


def add_finding(
    context: ResourceContext,
    findings: list[Finding],
    rule: str,
    /,
    *path: str | int,
    **values: Any,
) -> None:
    """Append a finding unless its rule is off.

    Args:
        context: The resource, whose validator knows which rules are off.
        findings: The list to append to.
        rule: Id of a rule, or of one of its messages: "OBS-03-text".
        *path: Location of the finding in the resource.
        **values: Values of the message's placeholders, and `fix`.

    """
    key = rule[:_ID_LENGTH]
    if key not in disabled_rules(context):
        findings.append(Finding(rule, *path, key=key, **values))
