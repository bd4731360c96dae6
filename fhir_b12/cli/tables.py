"""Commands that answer from the tables: `mappings`, `codes`, `convert`, `schema`."""

import re
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12 import aliases, codes, data, plain, ucum, units
from fhir_b12.cli.explain import describe_condition
from fhir_b12.cli.streams import (
    IssuePrinter,
    Row,
    UsageError,
    is_terminal,
    write_bytes,
    write_rows,
    write_table,
)
from fhir_b12.datatypes import Coding, Quantity
from fhir_b12.jsonio import dumps
from fhir_b12.mapping import table as tables
from fhir_b12.mapping import table_check
from fhir_b12.mapping.codecs import builtins
from fhir_b12.suggestions import closest, did_you_mean, did_you_mean_or_list

_HEADS = ("table", "element", "as", "field", "codes", "needed", "also read from", "note")
_CODE_HEADS = ("table", "key", "text", "found by", "codes", "written beside", "unit", "says")


def mappings(arguments: Namespace) -> int:
    """Write the mapping tables as documentation, or check them; return the exit code.

    Raises:
        UsageError: a table is unknown.

    """
    for name in arguments.name:
        if name not in tables.ORDER:
            hint = did_you_mean_or_list(name, tables.ORDER)
            raise UsageError(f"unknown mapping table {name!r}{hint}")
    if arguments.check:
        return _check_tables(arguments.name)
    shown = _load_tables(arguments.name or tables.ORDER)
    if arguments.format == "json":
        write_bytes(dumps([_table_to_json(table) for table in shown], indent=2), arguments.output)
    elif is_terminal(arguments.output):
        for table in shown:
            write_table(_HEADS[1:], (row[1:] for row in _table_rows(table)), None, _title(table))
    else:
        rows = (row for table in shown for row in (_head_row(table), *_table_rows(table)))
        write_table(_HEADS, rows, arguments.output)
    return 0


def _check_tables(names: Sequence[str]) -> int:
    """Print every fault of the tables, code tables and units, or of the named tables alone."""
    files = {f"{name}.toml" for name in names}
    faults = [fault for fault in table_check.check_all() if not files or fault.file in files]
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if not faults:
        sys.stdout.write("no faults in the tables\n")
    return 1 if faults else 0


def _load_tables(names: Iterable[str]) -> list[tables.Table]:
    """Return mapping tables.

    Raises:
        TableError: any of them or of the code tables has faults; all are listed.

    """
    loaded: list[tables.Table] = []
    faults: list[data.TableFault] = []
    for name in (*codes.tables(), *names):
        try:
            if name in tables.ORDER:
                loaded.append(tables.load(name))
            else:
                codes.table(name)
        except data.TableError as error:
            faults += error.faults
    if faults:
        raise data.TableError(dict.fromkeys(faults))
    return loaded


def _title(table: tables.Table) -> str:
    return f"{table.name}: {table.resource} <-> {table.record.__name__}, {_describe_reads(table)}"


def _head_row(table: tables.Table) -> Row:
    reads = _describe_reads(table)
    return table.name, table.resource, None, table.record.__name__, None, None, None, reads


def _describe_reads(table: tables.Table) -> str:
    """Return which resources a table reads, and which of those it rejects."""
    rejected = (f"{path} {' or '.join(values)}" for path, values in table.refuse.items())
    reads = f"if {describe_condition(table)}"
    return "; ".join([reads, *(f"rejected if {test}" for test in rejected)])


def _table_rows(table: tables.Table) -> Iterator[Row]:
    for row in table.rows:
        first, *others = row.ways
        also = "; ".join(_describe_way(way) for way in others) or None
        needed = "yes" if row.required else None
        yield (
            table.name, first.element, first.codec, row.field, row.codes, needed, also,
            row.note or None,
        )  # fmt: skip
    for link in table.links:
        note = f"the resource that {link.element} refers to"
        yield table.name, link.element, link.table, link.field, None, None, None, note


def _describe_way(way: tables.Way) -> str:
    return way.element + (f" as {way.codec}" if way.codec else "")


def _table_to_json(table: tables.Table) -> dict[str, Any]:
    """Return a table as JSON, with the names of its TOML file."""
    return {
        "name": table.name,
        "resource": table.resource,
        "record": table.record.__name__,
        "profile": table.profile,
        "when": table.when,
        "refuse": table.refuse,
        "rows": msgspec.to_builtins(table.rows),
        "links": msgspec.to_builtins(table.links),
    }


def search_codes(arguments: Namespace) -> int:
    """Write the names of the code tables, or the rows that match a key, code or text.

    Args:
        arguments: the parsed arguments of `codes`.

    Returns:
        The exit code: 0, or 1 if nothing matches.

    Raises:
        UsageError: the code table is unknown, or the code has no known system.

    """
    if arguments.table is not None and arguments.table not in codes.tables():
        hint = did_you_mean_or_list(arguments.table, codes.tables())
        raise UsageError(f"unknown code table {arguments.table!r}{hint}")
    names = codes.tables() if arguments.table is None else (arguments.table,)
    output_format, output = arguments.format, arguments.output
    if not (arguments.table or arguments.text or arguments.key or arguments.code):
        counts = ((name, len(codes.table(name))) for name in names)
        write_rows(("table", "concepts"), counts, output_format, output)
        return 0
    matches = [
        (name, entry, found_by) for name in names for entry, found_by in _search(name, arguments)
    ]
    rows = (_code_row(name, entry, found_by) for name, entry, found_by in matches)
    write_rows(_CODE_HEADS, rows, output_format, output)
    if matches:
        return 0
    sys.stderr.write(f"fhir-b12: {_no_match(names, arguments)}\n")
    return 1


def _search(name: str, arguments: Namespace) -> Iterator[tuple[codes.CodeEntry, str]]:
    """Yield the matching rows of one table, and by what each was found."""
    table = codes.table(name)
    if arguments.key:
        if arguments.key in table:
            yield table[arguments.key], "key"
    elif arguments.code:
        yield from _search_code(table, parse_coding(arguments.code))
    else:
        yield from ((entry, "text") for entry in table.search(arguments.text or ""))


def _search_code(table: codes.CodeTable, coding: Coding) -> Iterator[tuple[codes.CodeEntry, str]]:
    """Yield the row that a code means, then the rows where it is a wider code."""
    entry = table.find(coding)
    if entry is not None:
        yield entry, "code" if coding in _pairs(entry.codings) else "code, read only"
    for other in table:
        if coding in _pairs(other.wider):
            yield other, "wider code"


def _no_match(names: Sequence[str], arguments: Namespace) -> str:
    """Return the message for a search without result."""
    where = f"code table {arguments.table}" if arguments.table else "any code table"
    entries = [entry for name in names for entry in codes.table(name)]
    if arguments.key:
        hint = did_you_mean(arguments.key, [entry.key for entry in entries])
        return f"no key {arguments.key!r} in {where}{hint}"
    if arguments.code:
        return f"no concept with code {arguments.code} in {where}; search by TEXT instead"
    words = dict.fromkeys(
        word for entry in entries for word in (entry.key, entry.text, *entry.spellings)
    )
    hint = did_you_mean(arguments.text or "", words)
    return f"no concept matches {arguments.text!r} in {where}{hint}"


def _pairs(codings: tuple[Coding, ...]) -> list[Coding]:
    """Return codings with system and code alone."""
    return [Coding(system=coding.system, code=coding.code) for coding in codings]


def parse_coding(text: str) -> Coding:
    """Return the Coding of `loinc|CODE`, or of `URI|CODE`.

    Raises:
        UsageError: the text has no system, or its short name is unknown.

    """
    system, bar, code = text.rpartition("|")
    uris = _system_uris()
    if not bar:
        names = ", ".join(uris)
        raise UsageError(f"{text!r} has no code system: write SYSTEM|CODE, with a URI or {names}")
    if system not in uris and ":" not in system:
        hint = did_you_mean_or_list(system, uris)
        raise UsageError(f"unknown code system {system!r}{hint}")
    return Coding(system=uris.get(system, system), code=code)


def _system_uris() -> dict[str, str]:
    """Return the URI of each code system by its short name."""
    return {name: row["uri"] for name, row in data.toml("codes/systems.toml").items()}


def _code_row(name: str, entry: codes.CodeEntry, found_by: str) -> Row:
    facts = (("analyte", entry.analyte), ("mechanism", entry.mechanism), ("kind", entry.kind),
             ("role", entry.role))  # fmt: skip
    says = ", ".join(f"{label} {value}" for label, value in facts if value) or None
    codings, wider = _format_codings(entry.codings), _format_codings(entry.wider)
    return name, entry.key, entry.text, found_by, codings, wider, entry.unit, says


def _format_codings(codings: tuple[Coding, ...]) -> str | None:
    """Return codings as `--code` accepts them: `loinc|CODE`."""
    names = {uri: name for name, uri in _system_uris().items()}
    return " ".join(f"{names.get(c.system or '', c.system)}|{c.code}" for c in codings) or None


_VALUE = re.compile(
    r"(?P<comparator><=|>=|<|>)?(?P<value>-?\d+(\.\d+)?([eE][+-]?\d{1,3})?)", re.ASCII
)


def convert(arguments: Namespace) -> int:
    """Write a value in another unit, with the precision of the measurement.

    Args:
        arguments: the parsed arguments of `convert`.

    Returns:
        The exit code: 0, or 1 if the units cannot be converted.

    Raises:
        UsageError: the value is not a number, or a unit, the analyte or the test is unknown.

    """
    match = _VALUE.fullmatch(arguments.value)
    if match is None:
        raise UsageError(f"{arguments.value!r} is not a number: write e.g. 180.00 or '<150'")
    analytes = data.toml("codes/analytes.toml")
    if arguments.analyte is not None and arguments.analyte not in analytes:
        hint = did_you_mean_or_list(arguments.analyte, analytes)
        raise UsageError(f"unknown analyte {arguments.analyte!r}{hint}")
    for unit in (arguments.unit, arguments.to):
        _check_unit(unit)
    quantity = Quantity(
        value=Decimal(match["value"]), comparator=match["comparator"], unit=arguments.unit
    )
    analyte = arguments.analyte or (_analyte_of(arguments.test) if arguments.test else None)
    result = units.convert(quantity, arguments.to, analyte)
    printer = IssuePrinter()
    printer.report(result.issues)
    if result.value is None:
        return 1
    converted = result.value
    if arguments.format == "json":
        write_bytes(dumps(builtins(converted)), arguments.output)
    else:
        number = f"{converted.comparator or ''}{converted.value}"
        write_bytes(f"{number} {converted.code or converted.unit}".encode(), arguments.output)
    return printer.exit_code


def _check_unit(unit: str) -> None:
    """Check that a unit is UCUM or a known spelling.

    Raises:
        UsageError: it is neither.

    """
    try:
        ucum.parse(units.code_of(unit))
    except ucum.UnitError as error:
        known = aliases.units()
        near = closest(unit, [*known.values(), *known])
        hint = f"; did you mean {known.get(near, near)}?" if near else ": write a UCUM code"
        raise UsageError(f"unknown unit {unit!r}{hint}") from error


def _analyte_of(test: str) -> str | None:
    """Return the analyte of a laboratory test, given by key or by code.

    Raises:
        UsageError: the test is unknown.

    """
    table = codes.table("lab_tests")
    entry = table.find(parse_coding(test)) if "|" in test else table.entries.get(test)
    if entry is None:
        hint = did_you_mean(test, table.entries)
        help_text = "`fhir-b12 codes --table lab_tests` lists the tests"
        raise UsageError(f"unknown laboratory test {test!r}{hint or ';'} {help_text}")
    return entry.analyte


def schema(arguments: Namespace) -> int:
    """Write the JSON Schema of a therapy record; return the exit code."""
    write_bytes(dumps(plain.schema(), indent=2), arguments.output)
    return 0
