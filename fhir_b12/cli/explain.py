"""Commands `explain` and `ledger`: which mapping row reads each value, or why none does."""

import re
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from itertools import groupby
from typing import Any

import msgspec

from fhir_b12 import explanation
from fhir_b12.bundles import BundleReading, from_bundle
from fhir_b12.cli.streams import (
    IssuePrinter,
    is_ndjson,
    is_terminal,
    read_json,
    read_ndjson,
    write_bytes,
    write_rows,
    write_table,
)
from fhir_b12.explanation import INDEX, Leaf, leaves_by_resource
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.ledger import APART
from fhir_b12.mapping.lens import Reading

_HEADS = ("path", "class", "table", "row", "field", "codec", "codes", "why")
_GROUP = re.compile(r"(\d+: )?(entry\[\d+\]|\[\d+\])?")  #: of a path: its NDJSON line and entry
#: Description of each class of the ledger.
CLASSES = {
    "mapped": "in a field of a record",
    "constant": "the same in every resource that the table reads",
    "derived": "part of the Bundle that is rebuilt from the records",
    "residue": "in no record; `update` preserves it",
}


def explain(arguments: Namespace) -> int:
    """Write table, row, field and codec of each value, or why it is in no record."""
    printer = IssuePrinter()
    explained = _explain_input(arguments, printer)
    if arguments.format == "text" and is_terminal(arguments.output):
        _draw_tables(explained)
    else:
        rows = map(msgspec.structs.astuple, explained)
        write_rows(_HEADS, rows, arguments.format, arguments.output)
    return printer.exit_code


def _draw_tables(explained: Iterator[Leaf]) -> None:
    """Draw a table for each entry, narrow enough for a terminal."""
    heads = ("path", "class", "row", "field or reason", "codec", "codes")
    for prefix, group in groupby(explained, lambda leaf: _GROUP.match(leaf.path)[0]):  # type: ignore[index]
        entry = list(group)
        table = next((leaf.table for leaf in entry if leaf.table), None)
        rows = (
            (
                leaf.path.removeprefix(prefix).removeprefix("."),
                leaf.kind,
                leaf.row if leaf.table in {table, None} else f"{leaf.table}: {leaf.row or ''}",
                leaf.field or leaf.why,
                leaf.codec,
                leaf.codes,
            )
            for leaf in entry
        )
        title = " ".join(filter(None, (prefix, table and f"by {table}.toml")))
        write_table(heads, rows, None, title)


def _explain_input(arguments: Namespace, printer: IssuePrinter) -> Iterator[Leaf]:
    for prefix, number, reading in _read_input(arguments, printer):
        printer.report(_unmapped_issues(reading), number)
        for leaf in explanation.explain(reading):
            yield msgspec.structs.replace(leaf, path=f"{prefix}{leaf.path}")


def _read_input(
    arguments: Namespace, printer: IssuePrinter
) -> Iterator[tuple[str, int | None, BundleReading]]:
    """Yield path prefix, line number and reading of the input, or of each NDJSON line: `7: `."""
    if is_ndjson(arguments.file, arguments.format):
        for number, value in read_ndjson(arguments.file, printer, arguments.max_bytes):
            reading = from_bundle(value)
            printer.report(reading.issues, number)
            yield f"{number}: ", number, reading
        return
    reading = from_bundle(read_json(arguments.file, arguments.max_bytes))
    printer.report(reading.issues)
    yield "", None, reading


def _unmapped_issues(reading: BundleReading) -> Iterator[Issue]:
    """Yield an issue for each unmapped resource, with the conditions of the tables of its type."""
    for entry in reading.entries:
        if entry.reading.lens is None:
            resource_type = _resource_type(entry.reading)
            candidates = (tables.load(name) for name in tables.ORDER)
            known = [table for table in candidates if table.resource == resource_type]
            if known:
                conditions = "; ".join(
                    f"{table.name} reads it if {describe_condition(table)}" for table in known
                )
                message = f"no mapping table reads this resource: {conditions}"
                yield Issue("information", "not-supported", entry.path or "$this", message)


def describe_condition(table: tables.Table) -> str:
    """Return the `when` blocks of a table in words."""
    blocks = (" and ".join(_describe_test(*test) for test in block.items()) for block in table.when)
    return ", or ".join(blocks) or f"it is of type {table.resource}"


#: A test of a `when` block in words.
_TESTS = {
    "coded": "has one of",
    "known": "is in the code table",
    "key": "means",
    "silent": "has no code other than",
}


def _describe_test(path: str, test: dict[str, Any]) -> str:
    ((name, operand),) = test.items()
    if name == "present":
        return f"{path} is {'present' if operand else 'absent'}"
    operands = ", ".join(operand) if isinstance(operand, list) else operand
    return f"{path} {_TESTS.get(name, name)} {operands}"


def ledger(arguments: Namespace) -> int:
    """Write the number of values of each class and the residue by element; return the exit code."""
    printer = IssuePrinter()
    if arguments.all:
        rows = (
            (f"{prefix}{entry.path}", entry.kind, entry.says)
            for prefix, _, reading in _read_input(arguments, printer)
            for entry in reading.ledger
        )
        write_rows(("path", "class", "says"), rows, arguments.format, arguments.output)
        return printer.exit_code
    totals = LedgerTotals()
    for _, _, reading in _read_input(arguments, printer):
        totals.add(reading)
    if arguments.format == "json":
        write_bytes(dumps(totals.to_json(), indent=2), arguments.output)
    else:
        write_table(("leaves", "what", "why"), totals.rows(), arguments.output)
    return printer.exit_code


class LedgerTotals:
    """Number of leaves in each class of the ledger, and of residue by element and reason."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.mapped_resources: Counter[str] = Counter()  #: of resources that tables read, by class
        self.residue: Counter[tuple[str, str]] = Counter()  #: by element and reason

    def add(self, reading: BundleReading) -> None:
        """Count the leaves of one reading."""
        for entry, path, resource_reading in leaves_by_resource(reading):
            self.classes[entry.kind] += 1
            counts_apart = not APART.isdisjoint(path.split("."))
            is_read = resource_reading is not None and resource_reading.lens is not None
            if is_read and not counts_apart:
                self.mapped_resources[entry.kind] += 1
            if entry.kind == "residue":
                self.residue[_element(path, resource_reading), entry.says] += 1

    @property
    def equation(self) -> str:
        """The totals: `866 mapped + 45 constant + 200 derived + 1,270 residue = 2,381 leaves`."""
        parts = " + ".join(f"{self.classes[name]:,} {name}" for name in CLASSES)
        return f"{parts} = {self.classes.total():,} leaves"

    @property
    def share(self) -> Decimal | None:
        """Percentage of the leaves of mapped resources that records contain; None without any.

        `id`, `meta` and narrative are not counted.
        """
        total = self.mapped_resources.total()
        in_records = total - self.mapped_resources["residue"]
        percent = Decimal(100 * in_records) / total if total else None
        return None if percent is None else percent.quantize(Decimal("0.01"), ROUND_FLOOR)

    def to_json(self) -> dict[str, Any]:
        """Return the totals as JSON."""
        residue = [
            {"path": path, "leaves": n, "why": reason}
            for (path, reason), n in self.residue.most_common()
        ]
        totals: dict[str, Any] = {"leaves": self.classes.total(), "classes": dict(self.classes)}
        if self.share is not None:
            totals["share"] = self.share
        return {**totals, "residue": residue}

    def rows(self) -> Iterator[tuple[object, str, str]]:
        """Yield the classes, their sum, the share in records, then the residue by element."""
        for name, description in CLASSES.items():
            yield self.classes[name], name, description
        yield self.classes.total(), "leaves", "total: each leaf is in exactly one class"
        if self.share is not None:
            yield (
                f"{self.share}%",
                "share",
                "of mapped resources in records, without id, meta and text",
            )
        yield from ((n, f"  {path}", reason) for (path, reason), n in self.residue.most_common())


def _element(path: str, reading: Reading | None) -> str:
    """Return e.g. `Observation.subject.display`; for an unmapped resource its type alone."""
    if reading is None:
        return INDEX.sub("", path)
    resource_type = _resource_type(reading) or "unknown type"
    return INDEX.sub("", f"{resource_type}.{path}") if reading.lens is not None else resource_type


def _resource_type(reading: Reading) -> str | None:
    resource: Any = reading.resource
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    return name if isinstance(name, str) else None
