"""Checks of the code tables and of `units.toml` beyond what loading them requires.

Loading refuses a table that cannot be looked up. The checks here find clinical and technical faults
in a table that loads: check digits, forms of codes, UCUM units, codes that do not identify
their row.
"""

import itertools
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

from fhir_b12 import codes, data, ucum, units
from fhir_b12.data import TableError, TableFault
from fhir_b12.datatypes import CodeableConcept, Quantity

_SYSTEMS = "codes/systems.toml"
_ANALYTES = "codes/analytes.toml"
_UNITS = "units.toml"
_CHECK_DIGITS = {
    "mod-10": codes.has_mod_10_check_digit,
    "verhoeff": codes.has_verhoeff_check_digit,
}
_UCUM_PAGE = "https://ucum.org/ucum#"
#: Texts that senders use for a unit although UCUM reads them as another: K/uL is kelvin per uL.
_NOT_AS_UCUM = frozenset({"K/uL", "K/ul"})


def check_code_tables() -> Iterator[TableFault]:
    """Yield every fault of every code table, of the code systems and of the analytes."""
    yield from _check_systems()
    for name in codes.tables():
        yield from check_code_table(name)
    yield from _check_analytes()


def check_code_table(name: str) -> Iterator[TableFault]:
    """Yield every fault of one code table.

    Args:
        name: name of the table, `lab_tests`.

    """
    file = f"codes/{name}.toml"
    table = None
    try:
        rows = data.toml(file)
        table = codes.table(name)
    except TableError as error:
        yield from error.faults
        if not error.faults[0].row:  # not TOML
            return
    for key, row in rows.items():
        if isinstance(row, dict):
            for part, message in (*_check_codes(row), *_check_unit(row)):
                yield TableFault(file, key, part, message)
    if table is not None:
        for entry in table:
            for part, message in _check_lookup(table, entry):
                yield TableFault(file, entry.key, part, message)


def _check_codes(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and message of each code that its system cannot have, or with a wrong display."""
    for name in codes.CODING_LISTS:
        codings = row.get(name, ())
        for i, coding in enumerate(codings if isinstance(codings, list) else ()):
            system = data.toml(_SYSTEMS).get(coding.get("system"), {})
            code, where = coding.get("code"), f"{name}[{i}]"
            if not system or not isinstance(code, str):
                continue  # reported when the table is loaded
            if (fault := _code_fault(system, code)) is not None:
                yield f"{where}.code", fault
            if ("display" in coding) != system.get("display", True):
                yield f"{where}.display", _display_fault(system)
            free = system.get("cited_from", ())
            if free and not any(source in str(row.get("source")) for source in free):
                yield "source", f"names none of {', '.join(free)}, the free sets of {system['uri']}"


def _code_fault(system: dict[str, Any], code: str) -> str | None:
    """Return why a code cannot be one of its system, None if it can."""
    if "pattern" in system and not _pattern(system["pattern"]).fullmatch(code):
        return f"{code} is not a code of {system['uri']}: expected {system['pattern']}"
    check = _CHECK_DIGITS.get(system.get("check_digit", ""))
    if check is not None and not check(code):
        return f"wrong check digit in {code}: look the code up in {system['uri']} again"
    return None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)


def _display_fault(system: dict[str, Any]) -> str:
    if system.get("display", True):
        return f"no display; add the name that {system['uri']} gives the code"
    return f"remove the display: the texts of {system['uri']} are not free to ship"


def _check_unit(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    unit = row.get("unit")
    if isinstance(unit, str) and (fault := _unit_fault(unit)) is not None:
        yield "unit", fault


def _unit_fault(code: str) -> str | None:
    """Return why a text is not a UCUM unit, None if it is one."""
    try:
        ucum.parse(code)
    except ucum.UnitError as error:
        return f"{code!r} is not a known UCUM unit: {error}"
    return None


def _check_lookup(table: codes.CodeTable, entry: codes.CodeEntry) -> Iterator[tuple[str, str]]:
    """Yield key and message of each code or text of an entry that does not identify it."""
    for name in ("codings", "read_only"):
        for i, coding in enumerate(getattr(entry, name)):
            forms = (coding, CodeableConcept(coding=(coding,)))
            if any(table.find(form) is not entry for form in forms):
                yield f"{name}[{i}]", "the code alone does not identify this row"
    for i, coding in enumerate(entry.wider):
        if table.find(coding) is entry:
            yield f"wider[{i}]", "a wider code identifies this row: remove it from `codings`"
    written = bool(entry.codings) or not entry.wider
    if written and table.find(entry.concept) is not entry:
        yield (
            "text",
            "the written concept is not read back as this row: add its text to `spellings`",
        )
    for text in entry.spellings:
        if table.find(CodeableConcept(text=text)) is not entry:
            yield "spellings", f"{text!r} alone does not identify this row"


def _check_systems() -> Iterator[TableFault]:
    """Yield every URI or alias that two code systems share, and every unknown check digit."""
    owners: dict[str, str] = {}
    for name, row in data.toml(_SYSTEMS).items():
        if not isinstance(row.get("uri"), str):
            yield TableFault(_SYSTEMS, name, "uri", "the canonical URI is missing; add it")
            continue
        if not row.get("source"):
            yield TableFault(
                _SYSTEMS, name, "source", "the source is missing; name where the URI is defined"
            )
        for uri in (row["uri"], *row.get("aliases", ())):
            other = owners.setdefault(uri, name)
            if other != name:
                yield TableFault(
                    _SYSTEMS, name, "uri", f"{uri} already belongs to {other}; keep one"
                )
        check = row.get("check_digit")
        if check is not None and check not in _CHECK_DIGITS:
            known = ", ".join(_CHECK_DIGITS)
            yield TableFault(
                _SYSTEMS, name, "check_digit", f"unknown {check!r}; write one of {known}"
            )


def _check_analytes() -> Iterator[TableFault]:
    """Yield every analyte without a source, and every unit of a test that does not convert."""
    tests: dict[str, dict[str, str]] = {}
    for key, row in data.toml("codes/lab_tests.toml").items():
        if (
            isinstance(row, dict)
            and row.get("analyte")
            and _unit_fault(str(row.get("unit"))) is None
        ):
            tests.setdefault(row["analyte"], {})[row["unit"]] = key
    for analyte, row in data.toml(_ANALYTES).items():
        if not row.get("source"):
            yield TableFault(_ANALYTES, analyte, "source", "the source is missing; name it")
        for one, other in itertools.permutations(tests.get(analyte, ()), 2):
            converted = units.convert(Quantity(value=Decimal(1), unit=one), other, analyte)
            if converted.value is None:
                why = converted.issues[0].message
                key = tests[analyte][one]
                message = f"does not convert to {other}, the unit of {tests[analyte][other]}: {why}"
                yield TableFault("codes/lab_tests.toml", key, "unit", message)


def check_units() -> Iterator[TableFault]:
    """Yield every fault of `units.toml`."""
    table = data.toml(_UNITS)
    for symbol, row in table["atoms"].items():
        if (fault := _unit_fault(symbol)) is not None:
            yield TableFault(_UNITS, "atoms", symbol, fault)
        if not row.get("name"):
            yield TableFault(_UNITS, "atoms", symbol, "the name is missing; add it")
        if not str(row.get("source")).startswith(_UCUM_PAGE):
            yield TableFault(
                _UNITS, "atoms", symbol, f"the source is missing; write a page of {_UCUM_PAGE}"
            )
    for name, code in table["kinds"].items():
        if (fault := _unit_fault(code)) is not None:
            yield TableFault(_UNITS, "kinds", name, fault)
        elif ucum.parse(code).kind != name:
            yield TableFault(
                _UNITS, "kinds", name, f"{code!r} already has the name {ucum.parse(code).kind}"
            )
    owners: dict[str, str] = {}
    for code, texts in table["spellings"].items():
        if (fault := _unit_fault(code)) is not None:
            yield TableFault(_UNITS, "spellings", code, fault)
            continue
        for text in (code, *texts):
            other = owners.setdefault(text, code)
            if other != code:
                yield TableFault(
                    _UNITS, "spellings", code, f"{text!r} already stands for {other}; keep one"
                )
            if text in _NOT_AS_UCUM or _unit_fault(text) is not None:
                continue
            if ucum.parse(text) != ucum.parse(code):
                message = f"{text!r} is another unit in UCUM; remove it"
                yield TableFault(_UNITS, "spellings", code, message)


def check_vital_sign_profiles() -> Iterator[TableFault]:
    """Yield every code of `vital_sign_profiles.toml` that its system cannot have."""
    file = "vital_sign_profiles.toml"
    table = data.toml(file)
    by_uri = {row["uri"]: row for row in data.toml(_SYSTEMS).values() if "uri" in row}
    for profile, row in table["profiles"].items():
        for name, listed in row.items():
            system = by_uri.get(table["systems"].get(name))
            if system is None:
                yield TableFault(file, profile, name, "unknown code system; add it to [systems]")
                continue
            for i, code in enumerate(listed):
                if (fault := _code_fault(system, code)) is not None:
                    yield TableFault(file, profile, f"{name}[{i}]", fault)


def check_all() -> list[TableFault]:
    """Return every fault of code tables, units and vital sign profiles, without duplicates."""
    faults = (*check_units(), *check_code_tables(), *check_vital_sign_profiles())
    return list(dict.fromkeys(faults))


__all__ = [
    "check_all", "check_code_table", "check_code_tables", "check_units",
    "check_vital_sign_profiles",
]  # fmt: skip
