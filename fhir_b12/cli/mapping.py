"""The commands that carry records: `to-fhir`, `from-fhir`, `update`."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12 import plain
from fhir_b12.bundles import BundleReading, Kind, from_bundle, resources, to_bundle, update_bundle
from fhir_b12.cli.streams import (
    Findings,
    UsageError,
    deliver,
    has_lines,
    is_device,
    lines,
    read,
    sink,
    write,
)
from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.lens import MappingError
from fhir_b12.paths import leaves
from fhir_b12.records import Record, TherapyRecord, summary

KIND = "kind"  #: names the record on a line of NDJSON; no record has such a field
_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(TherapyRecord)}
#: LabResult -> labResults, where plain JSON has it
_LISTS = {
    record.__name__: next(name for name, field in _FIELDS.items() if field == listed)
    for record, listed in TherapyRecord.LISTS.items()
}


def to_fhir(arguments: Namespace) -> int:
    """Records in, resources out."""
    findings = Findings()
    form = arguments.format or ("ndjson" if has_lines(arguments.file, None) else "json")
    if form == "ndjson":
        if arguments.type:
            raise UsageError("NDJSON holds resources and no Bundle: leave out --type")
        _write_lines(_resources(_given(arguments, findings)), arguments.output)
        return findings.code
    records = list(_given(arguments, findings))
    if findings.code:
        return findings.code
    if arguments.type == "list":
        write(dumps(list(_resources(records)), indent=2), arguments.output)
        return 0
    bundle = _bundle(records, arguments.type or "transaction")
    if form == "text":
        deliver(("resource", "name", "fullUrl"), _entries(bundle), form, arguments.output)
    else:
        write(dumps(bundle, indent=2), arguments.output)
    return 0


def _given(arguments: Namespace, findings: Findings) -> Iterator[TherapyRecord]:
    """The records of a JSON text or of each line of NDJSON; what is wrong with one is told."""
    if has_lines(arguments.file, arguments.format):
        for number, value in lines(arguments.file, findings, arguments.max_bytes):
            record = _record(_whole(value), "$", findings, number)
            if record is not None:
                yield record
        return
    value = read(arguments.file, arguments.max_bytes)
    for place, each in records_in(value):
        record = _record(each, place, findings)
        if record is not None:
            yield record


def records_in(value: Any) -> Iterator[tuple[str, Any]]:
    """Place and value of one therapy record or of each of a list."""
    if isinstance(value, list):
        yield from ((f"$[{i}]", each) for i, each in enumerate(value))
    else:
        yield "$", value


def _whole(value: Any) -> Any:
    """A therapy record for the one record of a line, `{"kind": "LabResult", ...}`."""
    kind = value.get(KIND) if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return value
    fields = {name: each for name, each in value.items() if name != KIND}
    return {"patient": fields} if kind == "Patient" else {_LISTS.get(kind, kind): [fields]}


def _record(
    value: Any, place: str, findings: Findings, line: int | None = None
) -> TherapyRecord | None:
    """The therapy record that a value holds, if it can be written; else all that is wrong."""
    record, issues = plain.from_plain(value)
    found = (*issues, *(unwritable(record) if record is not None else ()))
    findings.tell(
        (msgspec.structs.replace(each, expression=place + each.expression[1:]) for each in found),
        line,
    )
    return None if found else record


def unwritable(record: TherapyRecord) -> tuple[Issue, ...]:
    """What in the record has no resource that would be read back, by its path in plain JSON."""
    try:
        resources(record)
    except MappingError as error:
        return error.issues
    return ()


def _bundle(records: Iterable[TherapyRecord], kind: Kind) -> dict[str, Any]:
    """One Bundle of all records."""
    entries = [entry for record in records for entry in to_bundle(record, kind).get("entry", ())]
    return {"resourceType": "Bundle", "type": kind} | ({"entry": entries} if entries else {})


def _entries(bundle: dict[str, Any]) -> Iterator[tuple[str, str | None, str]]:
    for entry in bundle.get("entry", ()):
        resource = entry["resource"]
        names = resource.get("identifier", ())
        first = names[0] if isinstance(names, list) and names else names or {}
        yield resource["resourceType"], first.get("value"), entry["fullUrl"]


def _resources(records: Iterable[TherapyRecord]) -> Iterator[dict[str, Any]]:
    for record in records:
        yield from resources(record)


def _write_lines(found: Iterable[dict[str, Any]], output: str | None) -> None:
    """A resource a line; into a folder as one file a type."""
    if output is None or output == "-" or has_lines(output, None) or is_device(output):
        with sink(output) as stream:
            stream.writelines(dumps(each) + b"\n" for each in found)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        streams: dict[str, Any] = {}
        for each in found:
            kind = each["resourceType"]
            if kind not in streams:
                streams[kind] = files.enter_context(sink(str(folder / f"{kind}.ndjson")))
            streams[kind].write(dumps(each) + b"\n")


def from_fhir(arguments: Namespace) -> int:
    """Resources in, records out."""
    findings = Findings()
    if has_lines(arguments.file, arguments.format):
        return _from_lines(arguments, findings)
    reading = from_bundle(read(arguments.file, arguments.max_bytes))
    findings.tell(reading.issues)
    if arguments.format in {"ndjson", "text"}:
        found = (each for record in reading.records for each in record)
        _write_records(found, arguments.format, arguments.output)
    else:
        values = [plain.to_plain(record) for record in reading.records]
        write(dumps(values[0] if len(values) == 1 else values, indent=2), arguments.output)
    findings.unread(unread(reading))
    return findings.code


def _from_lines(arguments: Namespace, findings: Findings) -> int:
    """A line in, its records out: nothing is kept, however long the file."""
    if arguments.format == "json":
        raise UsageError("NDJSON is read line by line and comes out so: leave out --format json")
    passed: Counter[str] = Counter()

    def records() -> Iterator[Record]:
        for number, value in lines(arguments.file, findings, arguments.max_bytes):
            reading = from_bundle(value)
            findings.tell(reading.issues, number)
            passed.update(unread(reading))
            for record in reading.records:
                yield from record

    _write_records(records(), arguments.format or "ndjson", arguments.output)
    findings.unread(passed)
    return findings.code


def _write_records(found: Iterable[Record], form: str, output: str | None) -> None:
    if form == "text":
        rows = ((type(each).__name__, summary.name(each), *summary.parts(each)) for each in found)
        deliver(("kind", "name", "what", "how much", "when"), rows, form, output)
        return
    with sink(output) as stream:
        for each in found:
            stream.write(dumps({KIND: type(each).__name__, **builtins(each)}) + b"\n")


def unread(reading: BundleReading) -> Counter[str]:
    """How many resources no table reads, by type."""
    passed = (
        each.resource["resourceType"]
        for each in reading.readings
        if each.lens is None and all(issue.code == "not-supported" for issue in each.issues)
    )
    known = R4.resource_types
    return Counter(kind if kind in known else "of unknown type" for kind in passed)


def update(arguments: Namespace) -> int:
    """A Bundle changed where records say something else."""
    if arguments.bundle == arguments.records == "-":
        raise UsageError("only one of the two can come from standard input")
    findings = Findings()
    before = read(arguments.bundle, arguments.max_bytes)
    given = read(arguments.records, arguments.max_bytes)
    records = [_record(value, place, findings) for place, value in records_in(given)]
    if findings.code:
        return findings.code
    after = updated(before, [record for record in records if record is not None])
    if arguments.format == "text":
        deliver(("change", "path"), changes(before, after), "text", arguments.output)
    else:
        write(dumps(after, indent=2), arguments.output)
    return 0


def updated(before: Any, records: list[TherapyRecord]) -> Any:
    """A Bundle, or one resource, changed where the records say something else."""
    if isinstance(before, dict) and before.get("resourceType") == "Bundle":
        return update_bundle(before, records)
    bundle = {"resourceType": "Bundle", "entry": [{"resource": before}]}
    entries = update_bundle(bundle, records)["entry"]
    if len(entries) != 1:
        what = "the records hold not just what this resource says: give a Bundle"
        raise MappingError((Issue("error", "business-rule", "$this", what),))
    return entries[0]["resource"]


def changes(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """Every leaf that was changed, removed or added, with its path in the one that has it."""
    old, new = dict(leaves(before)), dict(leaves(after))
    for path, value in old.items():
        if path not in new:
            yield "removed", path
        elif dumps(value) != dumps(new[path]):
            yield "changed", path
    yield from (("added", path) for path in new if path not in old)
