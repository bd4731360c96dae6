"""The commands that answer from the tables: `mappings`, `codes`, `convert`, `schema`."""

import re
from argparse import Namespace
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12 import codes, data, plain, units
from fhir_b12.cli.explain import condition
from fhir_b12.cli.streams import Findings, Row, UsageError, deliver, is_drawn, show, write
from fhir_b12.datatypes import Coding, Quantity
from fhir_b12.jsonio import dumps
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.codecs import builtins

_HEADS = ("table", "element", "as", "field", "codes", "needed", "also read from", "note")
_CODE_HEADS = ("table", "key", "text", "found by", "codes", "written beside", "unit", "says")


def mappings(arguments: Namespace) -> int:
    """The mapping tables, one or all, as documentation."""
    wanted = arguments.name or tables.ORDER
    unknown = [name for name in wanted if name not in tables.ORDER]
    if unknown:
        raise UsageError(f"no table {unknown[0]!r}; there are {', '.join(tables.ORDER)}")
    found = _loaded(wanted)
    if arguments.format == "json":
        write(dumps([_plain(table) for table in found], indent=2), arguments.output)
    elif is_drawn(arguments.output):
        for table in found:
            show(_HEADS[1:], (row[1:] for row in _rows(table)), None, _title(table))
    else:
        rows = (row for table in found for row in (_head(table), *_rows(table)))
        show(_HEADS, rows, arguments.output)
    return 0


def _loaded(names: Iterable[str]) -> list[tables.Table]:
    """The tables; where any has slips, or a code table has, TableError with those of all."""
    found: list[tables.Table] = []
    slips: list[data.Slip] = []
    for name in (*codes.tables(), *names):
        try:
            if name in tables.ORDER:
                found.append(tables.load(name))
            else:
                codes.table(name)
        except data.TableError as error:
            slips += error.slips
    if slips:
        raise data.TableError(dict.fromkeys(slips))
    return found


def _title(table: tables.Table) -> str:
    return f"{table.name}: {table.resource} <-> {table.record.__name__}, {_reads(table)}"


def _head(table: tables.Table) -> Row:
    return table.name, table.resource, None, table.record.__name__, None, None, None, _reads(table)


def _reads(table: tables.Table) -> str:
    refused = (f"{path} {' or '.join(values)}" for path, values in table.refuse.items())
    return "; ".join([f"where {condition(table)}", *(f"refused: {each}" for each in refused)])


def _rows(table: tables.Table) -> Iterator[Row]:
    for row in table.rows:
        first, *others = row.ways
        also = "; ".join(_way(way) for way in others) or None
        needed = "yes" if row.required else None
        yield (
            table.name, first.element, first.codec, row.field, row.codes, needed, also,
            row.note or None,
        )  # fmt: skip
    for link in table.links:
        read = f"what {link.element} refers to"
        yield table.name, link.element, link.table, link.field, None, None, None, read


def _way(way: tables.Way) -> str:
    return way.element + (f" as {way.codec}" if way.codec else "")


def _plain(table: tables.Table) -> dict[str, Any]:
    """A table as JSON, in the words of its TOML file."""
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


def search(arguments: Namespace) -> int:
    """The code tables: all of them, or the rows that a key, a code or a text leads to."""
    names = codes.tables() if arguments.table is None else (arguments.table,)
    if arguments.table is not None and arguments.table not in codes.tables():
        raise UsageError(
            f"no code table {arguments.table!r}; there are {', '.join(codes.tables())}"
        )
    form, output = arguments.format, arguments.output
    if not (arguments.table or arguments.text or arguments.key or arguments.code):
        deliver(
            ("table", "concepts"), ((name, len(codes.table(name))) for name in names), form, output
        )
        return 0
    found = [(name, entry, how) for name in names for entry, how in _found(name, arguments)]
    rows = (_code_row(name, entry, how) for name, entry, how in found)
    deliver(_CODE_HEADS, rows, form, output)
    return 0 if found else 1


def _found(name: str, arguments: Namespace) -> Iterator[tuple[codes.CodeEntry, str]]:
    """The rows of one table asked for, and by what each was found."""
    table = codes.table(name)
    if arguments.key:
        if arguments.key in table:
            yield table[arguments.key], "key"
    elif arguments.code:
        yield from _by_code(table, coding(arguments.code))
    else:
        yield from ((entry, "text") for entry in table.search(arguments.text or ""))


def _by_code(table: codes.CodeTable, wanted: Coding) -> Iterator[tuple[codes.CodeEntry, str]]:
    """The row a code means, then those it is written beside without meaning just that."""
    means = table.find(wanted)
    if means is not None:
        yield means, "code" if wanted in _pairs(means.codings) else "code, read only"
    for entry in table:
        if wanted in _pairs(entry.wider):
            yield entry, "wider code"


def _pairs(codings: tuple[Coding, ...]) -> list[Coding]:
    return [Coding(system=each.system, code=each.code) for each in codings]


def coding(text: str) -> Coding:
    """`loinc|CODE`, or with the system's URI before the bar."""
    system, bar, code = text.rpartition("|")
    if not bar:
        raise UsageError(
            "write a code with its system: SYSTEM|CODE; systems: " + ", ".join(_uris())
        )
    return Coding(system=_uris().get(system, system), code=code)


def _uris() -> dict[str, str]:
    return {name: row["uri"] for name, row in data.toml("codes/systems.toml").items()}


def _code_row(name: str, entry: codes.CodeEntry, how: str) -> Row:
    said = (("analyte", entry.analyte), ("mechanism", entry.mechanism), ("kind", entry.kind),
            ("role", entry.role))  # fmt: skip
    says = ", ".join(f"{what} {value}" for what, value in said if value) or None
    codings, wider = _short(entry.codings), _short(entry.wider)
    return name, entry.key, entry.text, how, codings, wider, entry.unit, says


def _short(codings: tuple[Coding, ...]) -> str | None:
    """`loinc|CODE`, as `--code` takes it."""
    names = {uri: name for name, uri in _uris().items()}
    return " ".join(f"{names.get(c.system or '', c.system)}|{c.code}" for c in codings) or None


_VALUE = re.compile(
    r"(?P<comparator><=|>=|<|>)?(?P<value>-?\d+(\.\d+)?([eE][+-]?\d{1,3})?)", re.ASCII
)


def convert(arguments: Namespace) -> int:
    """A value in another unit, its digits counted as measured."""
    match = _VALUE.fullmatch(arguments.value)
    if match is None:
        raise UsageError("VALUE is no number: write it as 180.00 or <150")
    given = Quantity(
        value=Decimal(match["value"]), comparator=match["comparator"], unit=arguments.unit
    )
    analyte = arguments.analyte or (_analyte(arguments.test) if arguments.test else None)
    found = units.convert(given, arguments.to, analyte)
    findings = Findings()
    findings.tell(found.issues)
    if found.value is None:
        return 1
    made = found.value
    if arguments.format == "json":
        write(dumps(builtins(made)), arguments.output)
    else:
        number = f"{made.comparator or ''}{made.value}"
        write(f"{number} {made.code or made.unit}".encode(), arguments.output)
    return findings.code


def _analyte(test: str) -> str | None:
    """What a laboratory test measures, by the test's key or its code."""
    table = codes.table("lab_tests")
    entry = table.find(coding(test)) if "|" in test else table.entries.get(test)
    if entry is None:
        raise UsageError("no such laboratory test: `fhir-b12 codes --table lab_tests` lists them")
    return entry.analyte


def schema(arguments: Namespace) -> int:
    """The JSON Schema of a therapy record."""
    write(dumps(plain.schema(), indent=2), arguments.output)
    return 0
