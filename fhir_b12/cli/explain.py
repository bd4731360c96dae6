"""The commands `explain` and `ledger`: where each leaf went, by which row, or why not."""

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
from fhir_b12.cli.streams import Findings, deliver, has_lines, is_drawn, lines, read, show, write
from fhir_b12.explanation import INDEX, Leaf, placed
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.ledger import APART
from fhir_b12.mapping.lens import Reading

_HEADS = ("path", "class", "table", "row", "field", "codec", "codes", "why")
_GROUP = re.compile(r"(\d+: )?(entry\[\d+\]|\[\d+\])?")  #: of a path: its line and its entry
#: What each class of the ledger means.
CLASSES = {
    "mapped": "in a field of a record",
    "constant": "the same in every resource the table reads",
    "derived": "the Bundle's envelope, made anew from the records",
    "residue": "in no record; `update` keeps it",
}


def explain(arguments: Namespace) -> int:
    """For each element its class, table, row, field and codec, or why it is in no record."""
    findings = Findings()
    leaves = _explained(arguments, findings)
    if arguments.format == "text" and is_drawn(arguments.output):
        _draw(leaves)
    else:
        rows = map(msgspec.structs.astuple, leaves)
        deliver(_HEADS, rows, arguments.format, arguments.output)
    return findings.code


def _draw(leaves: Iterator[Leaf]) -> None:
    """A table for each entry, narrow enough for a terminal."""
    heads = ("path", "class", "row", "field, or why not", "codec", "codes")
    for where, group in groupby(leaves, lambda leaf: _GROUP.match(leaf.path)[0]):  # type: ignore[index]
        entry = list(group)
        table = next((leaf.table for leaf in entry if leaf.table), None)
        rows = (
            (
                leaf.path.removeprefix(where).removeprefix("."),
                leaf.kind,
                leaf.row if leaf.table in {table, None} else f"{leaf.table}: {leaf.row or ''}",
                leaf.field or leaf.why,
                leaf.codec,
                leaf.codes,
            )
            for leaf in entry
        )
        show(heads, rows, None, " ".join(filter(None, (where, table and f"by {table}.toml"))))


def _explained(arguments: Namespace, findings: Findings) -> Iterator[Leaf]:
    for prefix, number, reading in _readings(arguments, findings):
        findings.tell(_untold(reading), number)
        for leaf in explanation.explain(reading):
            yield msgspec.structs.replace(leaf, path=f"{prefix}{leaf.path}")


def _readings(
    arguments: Namespace, findings: Findings
) -> Iterator[tuple[str, int | None, BundleReading]]:
    """What is read of the input, each line of NDJSON on its own; `7: ` goes before its paths."""
    if has_lines(arguments.file, arguments.format):
        for number, value in lines(arguments.file, findings, arguments.max_bytes):
            reading = from_bundle(value)
            findings.tell(reading.issues, number)
            yield f"{number}: ", number, reading
        return
    reading = from_bundle(read(arguments.file, arguments.max_bytes))
    findings.tell(reading.issues)
    yield "", None, reading


def _untold(reading: BundleReading) -> Iterator[Issue]:
    """For each resource that no table reads, what the tables for its type ask for."""
    for place in reading.places:
        if place.reading.lens is None:
            kind = _kind(place.reading)
            known = [table for table in map(tables.load, tables.ORDER) if table.resource == kind]
            if known:
                asked = "; ".join(f"{each.name} reads it where {condition(each)}" for each in known)
                what = f"no table reads this resource: {asked}"
                yield Issue("information", "not-supported", place.path or "$this", what)


def condition(table: tables.Table) -> str:
    """The `when` blocks of a table in words."""
    blocks = (" and ".join(_line(*line) for line in block.items()) for block in table.when)
    return ", or ".join(blocks) or f"it is of type {table.resource}"


#: A test of a `when` line in words.
_WORDS = {
    "coded": "has one of",
    "known": "is in the code table",
    "key": "means",
    "silent": "names nothing but",
}


def _line(path: str, test: dict[str, Any]) -> str:
    ((name, wanted),) = test.items()
    if name == "present":
        return f"{path} is {'there' if wanted else 'absent'}"
    listed = ", ".join(wanted) if isinstance(wanted, list) else wanted
    return f"{path} {_WORDS.get(name, name)} {listed}"


def ledger(arguments: Namespace) -> int:
    """How many leaves of each class, and those that are in no record."""
    findings = Findings()
    if arguments.all:
        rows = (
            (f"{prefix}{entry.path}", entry.kind, entry.says)
            for prefix, _, reading in _readings(arguments, findings)
            for entry in reading.ledger
        )
        deliver(("path", "class", "says"), rows, arguments.format, arguments.output)
        return findings.code
    sums = Sums()
    for _, _, reading in _readings(arguments, findings):
        sums.add(reading)
    if arguments.format == "json":
        write(dumps(sums.plain(), indent=2), arguments.output)
    else:
        show(("leaves", "what", "why"), sums.rows(), arguments.output)
    return findings.code


class Sums:
    """Leaves counted by class, what is in no record by element and reason."""

    def __init__(self) -> None:
        self.classes: Counter[str] = Counter()
        self.read: Counter[str] = Counter()  #: of resources that tables read, by class
        self.left: Counter[tuple[str, str]] = Counter()

    def add(self, reading: BundleReading) -> None:
        """Count the leaves of one reading."""
        for entry, path, found in placed(reading):
            self.classes[entry.kind] += 1
            apart = not APART.isdisjoint(path.split("."))
            if found is not None and found.lens is not None and not apart:
                self.read[entry.kind] += 1
            if entry.kind == "residue":
                self.left[_element(path, found), entry.says] += 1

    @property
    def total(self) -> str:
        """`866 mapped + 45 constant + 200 derived + 1,270 residue = 2,381 leaves`"""
        parts = " + ".join(f"{self.classes[kind]:,} {kind}" for kind in CLASSES)
        return f"{parts} = {self.classes.total():,} leaves"

    @property
    def share(self) -> Decimal | None:
        """Percent of the leaves of what tables read that is in records; id, meta, text apart."""
        whole = self.read.total()
        known = whole - self.read["residue"]
        percent = Decimal(100 * known) / whole if whole else None
        return None if percent is None else percent.quantize(Decimal("0.01"), ROUND_FLOOR)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        left = [
            {"path": path, "leaves": n, "why": why} for (path, why), n in self.left.most_common()
        ]
        sums: dict[str, Any] = {"leaves": self.classes.total(), "classes": dict(self.classes)}
        if self.share is not None:
            sums["share"] = self.share
        return {**sums, "residue": left}

    def rows(self) -> Iterator[tuple[object, str, str]]:
        """As a table: the classes, their sum, the share, then what is left."""
        for kind, why in CLASSES.items():
            yield self.classes[kind], kind, why
        yield self.classes.total(), "leaves", "the sum: each leaf stands in one class"
        if self.share is not None:
            yield f"{self.share}%", "share", "in records, of what tables read; id, meta, text apart"
        yield from ((n, f"  {path}", why) for (path, why), n in self.left.most_common())


def _element(path: str, found: Reading | None) -> str:
    """`Observation.subject.display`; of a resource that no table reads, its type alone."""
    if found is None:
        return INDEX.sub("", path)
    name = _kind(found) or "unknown type"
    return INDEX.sub("", f"{name}.{path}") if found.lens is not None else name


def _kind(reading: Reading) -> str | None:
    resource: Any = reading.resource
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    return kind if isinstance(kind, str) else None
