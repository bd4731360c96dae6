"""The command line: `fhir-b12 COMMAND`; exit code 0 fine, 1 findings, 2 usage."""

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fhir_b12 import codes, data, plain
from fhir_b12.bundles import from_bundle, resources, to_bundle, update_bundle
from fhir_b12.datatypes import Coding
from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, dumps, loads, open_stream
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.ledger import APART, Entry
from fhir_b12.mapping.lens import MappingError
from fhir_b12.records import TherapyRecord


class UsageError(Exception):
    """What was asked cannot be done as it was asked."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (JsonError, MappingError) as error:
        _tell(error.issues)
        return 1
    except (UsageError, OSError) as error:
        sys.stderr.write(f"fhir-b12: {error}\n")
        return 2
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fhir-b12", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    demo = command("demo", _demo, "a therapy course to FHIR and back, then a Bundle of yours")
    demo.add_argument("input", nargs="?", help="a FHIR Bundle; .gz and .bz2 too")
    for name, run, text in (
        ("to-fhir", _to_fhir, "a therapy record (plain JSON) as a FHIR Bundle"),
        ("from-fhir", _from_fhir, "a Bundle or resource as therapy records"),
        ("explain", _explain, "for each element: its class and the record field, or why not"),
        ("ledger", _ledger, "where the leaves went, and what no table reads"),
    ):
        made = command(name, run, text)
        made.add_argument("file", help="- is standard input")
        made.add_argument("--output", "-o", help="write to this file")
        if name == "to-fhir":
            made.add_argument("--format", choices=("json", "ndjson"), default="json")
            made.add_argument(
                "--type", choices=("transaction", "collection"), default="transaction"
            )
        if name == "ledger":
            made.add_argument(
                "--all", action="store_true", help="every leaf, not only what is left"
            )
    made = command("update", _update, "change a Bundle where the records say something else")
    made.add_argument("bundle")
    made.add_argument("records", help="a therapy record, or a list of them")
    made.add_argument("--output", "-o")
    made = command("mappings", _mappings, "the mapping tables as documentation")
    made.add_argument("name", nargs="?", choices=tables.ORDER, metavar="NAME")
    made = command("codes", _codes, "the code tables, searched and looked up both ways")
    made.add_argument("table", nargs="?", choices=codes.tables(), metavar="TABLE")
    made.add_argument("--find", metavar="SYSTEM|CODE")
    made.add_argument("--search", metavar="TEXT")
    command("schema", _schema, "the JSON Schema of a therapy record")
    return parser


def _read(path: str) -> Any:
    with open_stream(path) as stream:
        return loads(stream.read())


def _write(content: bytes, output: str | None) -> None:
    if output is None:
        sys.stdout.write(content.decode())
        sys.stdout.write("\n")
    else:
        Path(output).write_bytes(content + b"\n")


def _tell(issues: Iterable[Issue]) -> None:
    for issue in issues:
        sys.stderr.write(f"{issue}\n")


def _findings(issues: Sequence[Issue]) -> int:
    _tell(issues)
    return int(any(issue.is_error for issue in issues))


def _record(value: Any) -> tuple[TherapyRecord | None, int]:
    record, issues = plain.from_plain(value)
    return record, _findings(issues)


def _to_fhir(arguments: argparse.Namespace) -> int:
    record, code = _record(_read(arguments.file))
    if record is None:
        return code
    if arguments.format == "ndjson":
        _write(b"\n".join(dumps(each) for each in resources(record)), arguments.output)
    else:
        _write(dumps(to_bundle(record, arguments.type), indent=2), arguments.output)
    return 0


def _from_fhir(arguments: argparse.Namespace) -> int:
    reading = from_bundle(_read(arguments.file))
    found = [plain.to_plain(record) for record in reading.records]
    _write(dumps(found[0] if len(found) == 1 else found, indent=2), arguments.output)
    return _findings(reading.issues)


def _update(arguments: argparse.Namespace) -> int:
    bundle, given = _read(arguments.bundle), _read(arguments.records)
    records = []
    for value in given if isinstance(given, list) else [given]:
        record, code = _record(value)
        if record is None:
            return code
        records.append(record)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise UsageError("update changes a Bundle: give one")
    _write(dumps(update_bundle(bundle, records), indent=2), arguments.output)
    return 0


def _lines(rows: Iterable[Sequence[object]], output: str | None = None) -> None:
    text = "\n".join("\t".join(map(str, row)) for row in rows)
    _write(text.encode(), output)


def _explain(arguments: argparse.Namespace) -> int:
    reading = from_bundle(_read(arguments.file))
    _lines(((e.path, e.kind, e.says) for e in reading.ledger), arguments.output)
    return _findings(reading.issues)


def _ledger(arguments: argparse.Namespace) -> int:
    reading = from_bundle(_read(arguments.file))
    ledger = reading.ledger
    rows: list[Sequence[object]] = [(kind, n) for kind, n in sorted(ledger.counts().items())]
    rows.append(("leaves", len(ledger)))
    shown = ledger if arguments.all else ledger.residue
    rows += [(e.path, e.kind, e.says) for e in shown]
    _lines(rows, arguments.output)
    return _findings(reading.issues)


def _mappings(arguments: argparse.Namespace) -> int:
    for name in [arguments.name] if arguments.name else tables.ORDER:
        table = tables.load(name)
        rows: list[Sequence[object]] = [(f"{name}: {table.resource} <-> {table.record.__name__}",)]
        for row in table.rows:
            ways = ", ".join(w.element + (f" as {w.codec}" if w.codec else "") for w in row.ways)
            rows.append(("", ways, row.field, row.codes or ""))
        rows += [("", f"{each.element} -> {each.table}", each.field) for each in table.links]
        _lines(rows)
    return 0


def _codes(arguments: argparse.Namespace) -> int:
    found = []
    for name in [arguments.table] if arguments.table else codes.tables():
        table = codes.table(name)
        if arguments.find:
            system, _, code = arguments.find.rpartition("|")
            uri = data.toml("codes/systems.toml").get(system, {}).get("uri", system)
            entry = table.find(Coding(system=uri, code=code))
            entries = [] if entry is None else [entry]
        else:
            entries = table.search(arguments.search or "")
        found += [(name, entry) for entry in entries]
    for name, entry in found:
        codings = " ".join(f"{each.system}|{each.code}" for each in entry.codings)
        _lines([(name, entry.key, entry.text, entry.mechanism or "", codings)])
    return 0 if found else 1


def _schema(_: argparse.Namespace) -> int:
    _write(dumps(plain.schema(), indent=2), None)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    course = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    record, code = _record(course)
    if record is None:
        return code
    _say("A course of B12 infusions, as the clinic keeps it:")
    _kinds([record])
    bundle = to_bundle(record)
    text = dumps(bundle)
    _say(f"\nAs a FHIR R4 transaction: {len(bundle['entry'])} entries, {len(text):,} bytes.")
    reading = from_bundle(loads(text))
    same = reading.records == (record,)
    _say(f"Read back: identical: {'yes' if same else 'NO'}; issues: {len(reading.issues)}")
    _share(tuple(reading.ledger))
    path = arguments.input or _sample()
    if path is None:
        _say("\nA Bundle nobody here wrote: none at hand; give one: fhir-b12 demo bundle.json")
        return 0 if same else 1
    _say(f"\nA Bundle nobody here wrote: {Path(path).name}")
    other = from_bundle(_read(path))
    _kinds(other.records)
    _share(tuple(other.ledger))
    _tell(other.issues)
    return 0 if same else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _sample() -> str | None:
    root = Path(os.environ.get("FHIR_B12_FIXTURES", "../shared/fixtures"))
    found = [p for p in root.glob("synthea/*.json.bz2") if not p.name.startswith("0-")]
    return str(min(found, key=lambda p: p.stat().st_size)) if found else None


def _kinds(records: Iterable[TherapyRecord]) -> None:
    for record in records:
        counts = Counter(type(each).__name__ for each in record)
        _say("  " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))


def _share(entries: tuple[Entry, ...]) -> None:
    counts = Counter(entry.kind for entry in entries)
    total = " + ".join(f"{n} {kind}" for kind, n in counts.most_common())
    _say(f"Ledger: {total} = {len(entries)} leaves.")
    left = Counter(
        re.sub(r"\[\d+\]", "", f"{entry.path}: {entry.says}")
        for entry in entries
        if entry.kind == "residue" and not APART & set(entry.path.split("."))
    )
    for path, n in left.most_common(5):
        _say(f"  left where it was: {n} x {path}")
