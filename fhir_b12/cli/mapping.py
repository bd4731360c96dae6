"""Commands that convert between records and FHIR: `to-fhir`, `from-fhir`, `update`."""

from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12 import plain
from fhir_b12.bundles import (
    BundleReading,
    BundleType,
    from_bundle,
    resources,
    to_bundle,
    update_bundle,
)
from fhir_b12.cli.streams import (
    STDIN,
    IssuePrinter,
    UsageError,
    is_device,
    is_ndjson,
    is_ndjson_name,
    open_output,
    read_json,
    read_ndjson,
    write_bytes,
    write_rows,
)
from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.jsonio import dumps
from fhir_b12.mapping.codecs import builtins
from fhir_b12.mapping.lens import MappingError
from fhir_b12.paths import leaves
from fhir_b12.records import Record, TherapyRecord, summary

KIND = "kind"  #: names the record class on a line of NDJSON; no record has such a field
_FIELDS = {field.encode_name: field.name for field in msgspec.structs.fields(TherapyRecord)}
#: Record class -> its list in plain JSON: LabResult -> labResults
_LISTS = {
    record.__name__: next(name for name, field in _FIELDS.items() if field == list_name)
    for record, list_name in TherapyRecord.LISTS.items()
}


def to_fhir(arguments: Namespace) -> int:
    """Convert records to resources; return the exit code.

    Raises:
        UsageError: a Bundle type was given for NDJSON output.

    """
    printer = IssuePrinter()
    output_format = arguments.format
    if output_format is None:
        output_format = "ndjson" if is_ndjson(arguments.file, None) else "json"
    if output_format == "ndjson":
        if arguments.type:
            raise UsageError("NDJSON output has no Bundle: remove --type")
        _write_resources(_to_resources(_read_records(arguments, printer)), arguments.output)
        return printer.exit_code
    records = list(_read_records(arguments, printer))
    if printer.exit_code:
        return printer.exit_code
    if arguments.type == "list":
        write_bytes(dumps(list(_to_resources(records)), indent=2), arguments.output)
        return 0
    bundle = _build_bundle(records, arguments.type or "transaction")
    if output_format == "text":
        heads = ("resource", "name", "fullUrl")
        write_rows(heads, _entry_rows(bundle), output_format, arguments.output)
    else:
        write_bytes(dumps(bundle, indent=2), arguments.output)
    return 0


def _read_records(arguments: Namespace, printer: IssuePrinter) -> Iterator[TherapyRecord]:
    """Yield the valid records of a JSON document, or of each line of NDJSON; report the others."""
    if is_ndjson(arguments.file, arguments.format):
        for number, value in read_ndjson(arguments.file, printer, arguments.max_bytes):
            record = _parse_record(_as_therapy_record(value), "$", printer, number)
            if record is not None:
                yield record
        return
    for path, value in iter_values(read_json(arguments.file, arguments.max_bytes)):
        record = _parse_record(value, path, printer)
        if record is not None:
            yield record


def iter_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield path and value of one therapy record, or of each in a list."""
    if isinstance(value, list):
        yield from ((f"$[{i}]", item) for i, item in enumerate(value))
    else:
        yield "$", value


def _as_therapy_record(value: Any) -> Any:
    """Return a therapy record for the record of a line, `{"kind": "LabResult", ...}`."""
    record_class = value.get(KIND) if isinstance(value, dict) else None
    if not isinstance(record_class, str):
        return value
    fields = {name: field for name, field in value.items() if name != KIND}
    if record_class == "Patient":
        return {"patient": fields}
    return {_LISTS.get(record_class, record_class): [fields]}


def _parse_record(
    value: Any, path: str, printer: IssuePrinter, line: int | None = None
) -> TherapyRecord | None:
    """Return the therapy record of a value; report all errors and return None if it has any."""
    record, issues = plain.from_plain(value)
    issues = (*issues, *(write_issues(record) if record is not None else ()))
    printer.report(
        (
            msgspec.structs.replace(issue, expression=path + issue.expression[1:])
            for issue in issues
        ),
        line,
    )
    return None if issues else record


def write_issues(record: TherapyRecord) -> tuple[Issue, ...]:
    """Return why a record cannot be written as FHIR, by path in plain JSON; () if it can."""
    try:
        resources(record)
    except MappingError as error:
        return error.issues
    return ()


def _build_bundle(records: Iterable[TherapyRecord], bundle_type: BundleType) -> dict[str, Any]:
    """Return one Bundle of all records."""
    entries = [
        entry for record in records for entry in to_bundle(record, bundle_type).get("entry", ())
    ]
    bundle = {"resourceType": "Bundle", "type": bundle_type}
    return bundle | ({"entry": entries} if entries else {})


def _entry_rows(bundle: dict[str, Any]) -> Iterator[tuple[str, str | None, str]]:
    """Yield type, first identifier and fullUrl of each entry."""
    for entry in bundle.get("entry", ()):
        resource = entry["resource"]
        identifiers = resource.get("identifier", ())
        if isinstance(identifiers, list):
            first = identifiers[0] if identifiers else {}
        else:
            first = identifiers or {}
        yield resource["resourceType"], first.get("value"), entry["fullUrl"]


def _to_resources(records: Iterable[TherapyRecord]) -> Iterator[dict[str, Any]]:
    for record in records:
        yield from resources(record)


def _write_resources(values: Iterable[dict[str, Any]], output: str | None) -> None:
    """Write one resource a line; into a folder one file for each resource type."""
    if output is None or output == "-" or is_ndjson_name(output) or is_device(output):
        with open_output(output) as stream:
            stream.writelines(dumps(value) + b"\n" for value in values)
        return
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        streams: dict[str, Any] = {}
        for value in values:
            resource_type = value["resourceType"]
            if resource_type not in streams:
                path = str(folder / f"{resource_type}.ndjson")
                streams[resource_type] = files.enter_context(open_output(path))
            streams[resource_type].write(dumps(value) + b"\n")


def from_fhir(arguments: Namespace) -> int:
    """Convert resources to records; return the exit code."""
    printer = IssuePrinter()
    if is_ndjson(arguments.file, arguments.format):
        return _from_ndjson(arguments, printer)
    reading = from_bundle(read_json(arguments.file, arguments.max_bytes))
    printer.report(reading.issues)
    if arguments.format in {"ndjson", "text"}:
        records = (record for therapy_record in reading.records for record in therapy_record)
        _write_records(records, arguments.format, arguments.output)
    else:
        values = [plain.to_plain(record) for record in reading.records]
        write_bytes(dumps(values[0] if len(values) == 1 else values, indent=2), arguments.output)
    printer.report_unmapped(count_unmapped(reading))
    return printer.exit_code


def _from_ndjson(arguments: Namespace, printer: IssuePrinter) -> int:
    """Convert line by line, in constant memory.

    Raises:
        UsageError: the output format is json.

    """
    if arguments.format == "json":
        raise UsageError("NDJSON is converted line by line to NDJSON: remove --format json")
    unmapped: Counter[str] = Counter()

    def records() -> Iterator[Record]:
        """Yield the records of all lines; report issues and count unmapped resources."""
        for number, value in read_ndjson(arguments.file, printer, arguments.max_bytes):
            reading = from_bundle(value)
            printer.report(reading.issues, number)
            unmapped.update(count_unmapped(reading))
            for therapy_record in reading.records:
                yield from therapy_record

    _write_records(records(), arguments.format or "ndjson", arguments.output)
    printer.report_unmapped(unmapped)
    return printer.exit_code


def _write_records(records: Iterable[Record], output_format: str, output: str | None) -> None:
    if output_format == "text":
        rows = (
            (type(record).__name__, summary.name(record), *summary.parts(record))
            for record in records
        )
        heads = ("record", "name", "what", "value", "when")
        write_rows(heads, rows, output_format, output)
        return
    with open_output(output) as stream:
        for record in records:
            stream.write(dumps({KIND: type(record).__name__, **builtins(record)}) + b"\n")


def count_unmapped(reading: BundleReading) -> Counter[str]:
    """Return the number of resources that no mapping table reads, by resource type."""
    names = (
        resource_reading.resource["resourceType"]
        for resource_reading in reading.readings
        if resource_reading.lens is None
        and all(issue.code == "not-supported" for issue in resource_reading.issues)
    )
    known = R4.resource_types
    return Counter(name if name in known else "of unknown type" for name in names)


def update(arguments: Namespace) -> int:
    """Update a Bundle with changed records; return the exit code.

    Raises:
        UsageError: both inputs are standard input.

    """
    if arguments.bundle == arguments.records == STDIN:
        raise UsageError("only one of BUNDLE and RECORDS can be standard input")
    printer = IssuePrinter()
    before = read_json(arguments.bundle, arguments.max_bytes)
    values = read_json(arguments.records, arguments.max_bytes)
    records = [_parse_record(value, path, printer) for path, value in iter_values(values)]
    if printer.exit_code:
        return printer.exit_code
    after = apply_update(before, [record for record in records if record is not None])
    if arguments.format == "text":
        write_rows(("change", "path"), list_changes(before, after), "text", arguments.output)
    else:
        write_bytes(dumps(after, indent=2), arguments.output)
    return 0


def apply_update(before: Any, records: list[TherapyRecord]) -> Any:
    """Return a Bundle or one resource, updated with records.

    Args:
        before: a Bundle or one resource as plain JSON.
        records: the records with their changes.

    Raises:
        MappingError: the records contain more or less than the one resource.

    """
    if isinstance(before, dict) and before.get("resourceType") == "Bundle":
        return update_bundle(before, records)
    bundle = {"resourceType": "Bundle", "entry": [{"resource": before}]}
    entries = update_bundle(bundle, records)["entry"]
    if len(entries) != 1:
        message = "the records contain more or less than this resource: give the whole Bundle"
        raise MappingError((Issue("error", "business-rule", "$this", message),))
    return entries[0]["resource"]


def list_changes(before: Any, after: Any) -> Iterator[tuple[str, str]]:
    """Yield `changed`, `removed` or `added` with the path of each value that differs."""
    old, new = dict(leaves(before)), dict(leaves(after))
    for path, value in old.items():
        if path not in new:
            yield "removed", path
        elif dumps(value) != dumps(new[path]):
            yield "changed", path
    yield from (("added", path) for path in new if path not in old)
