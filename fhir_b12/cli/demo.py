"""Command `demo`: convert a therapy record to FHIR and back, then another system's Bundle."""

import os
import shutil
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12 import data, plain
from fhir_b12.bundles import BundleReading, from_bundle, to_bundle
from fhir_b12.cli import mapping
from fhir_b12.cli.explain import LedgerTotals
from fhir_b12.cli.streams import format_type_counts, read_json, write_bytes
from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.mapping.lens import from_fhir, lens_for, to_fhir
from fhir_b12.paths import leaves
from fhir_b12.printable import printable
from fhir_b12.records import LabResult, TherapyRecord, summary
from fhir_b12.validation import Validator


class DemoOutput:
    """Lines of the demo; `passed` is True as long as every check was."""

    def __init__(self) -> None:
        self.passed = True

    def line(self, text: str = "") -> None:
        """Print a line."""
        print(printable(text))  # noqa: T201 - the output of the command

    def check(self, what: str, *, passed: bool, detail: str = "") -> None:
        """Print a check with its result."""
        self.passed &= passed
        self.line(f"  {what:<40} {'yes' if passed else 'NO'}{': ' if detail else ''}{detail}")


def run(arguments: Namespace) -> int:
    """Run the demo.

    Args:
        arguments: the parsed arguments of `demo`.

    Returns:
        The exit code: 0, or 1 if a check failed.

    Raises:
        JsonError: the sample record is invalid.

    """
    output = DemoOutput()
    course = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    record, issues = plain.from_plain(course)
    if record is None:
        raise JsonError(issues)
    bundle = to_bundle(record)
    _show_record(output, record, bundle)
    _show_one_value(output, record)
    _show_exchange(output, record, bundle)
    if arguments.save:
        folder = Path(arguments.save)
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in (("course.json", course), ("bundle.json", bundle)):
            write_bytes(dumps(value, indent=2), str(folder / name))
    path = arguments.input or _sample_bundle()
    if path is None:
        output.line()
        output.line(f"A Bundle of another system: none given; try {_program()} demo bundle.json")
    else:
        _show_other_bundle(output, path)
    _show_next_commands(output, arguments.save)
    return 0 if output.passed else 1


def _show_record(output: DemoOutput, record: TherapyRecord, bundle: dict[str, Any]) -> None:
    """Convert the sample record to FHIR and back."""
    output.line("A course of vitamin B12 infusions, as a clinic records it (invented patient)")
    for name, number in summary.count_by_class(record).items():
        first = next(item for item in record if type(item).__name__ == name)
        output.line(f"  {number:>3} {name:<14} {summary.line(first)}"[:100])
    text = dumps(bundle)
    types = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    output.line()
    output.line(
        f"The same as a FHIR R4 {bundle['type']}: {len(bundle['entry'])} resources of "
        f"{len(types)} types, {len(text):,} bytes of JSON"
    )
    reading = from_bundle(loads(text))
    identical = reading.records == (record,) and not reading.issues
    output.check("read back, the record is identical", passed=identical)
    requests = {(e["request"]["url"], e["request"].get("ifNoneExist")) for e in bundle["entry"]}
    conditional = {(url, criteria) for url, criteria in requests if criteria}
    reactions = len(record.reactions)  # R4 cannot search AdverseEvent by identifier
    output.check(
        "sending it twice creates no duplicates",
        passed=len(conditional) + reactions == len(bundle["entry"])
        and dumps(to_bundle(record)) == text,
        detail=f"{len(conditional)} conditional creates; R4 has none for the {reactions} reactions",
    )
    _check_ledger(output, reading)
    _check_valid(output, record, bundle)


def _check_valid(output: DemoOutput, record: TherapyRecord, bundle: dict[str, Any]) -> None:
    """Validate the Bundle against R4, and each resource against our profile."""
    validator = Validator()
    whole = validator.validate(bundle)
    reports = []
    for resource in map(to_fhir, record):
        lens = lens_for(resource)
        profile = lens.table.profile if lens else None
        reports.append(validator.validate(resource, profiles=[profile] if profile else []))
    output.check(
        "valid against FHIR R4 and our profiles",
        passed=whole.valid and all(report.valid for report in reports),
        detail=f"{whole.resources} resources, {len(whole)} warnings and notes",
    )


def _check_ledger(output: DemoOutput, reading: BundleReading) -> LedgerTotals:
    totals = LedgerTotals()
    totals.add(reading)
    paths = [entry.path for entry in reading.ledger]
    output.check(
        "the ledger has every value exactly once",
        passed=paths == [path for path, _ in leaves(reading.bundle)],
        detail=totals.equation,
    )
    return totals


def _show_one_value(output: DemoOutput, record: TherapyRecord) -> None:
    """Follow one number through the conversion, with its trailing zero."""
    i, result = next(
        (i, result) for i, result in enumerate(record.lab_results) if _digits(result).endswith("0")
    )
    digits, resource = _digits(result), to_fhir(result)
    text = dumps(resource)
    back = from_fhir(loads(text)).record
    assert isinstance(back, LabResult)
    output.line()
    output.line("One value from record to JSON and back")
    output.line(f"  {summary.words(result.test)}, collected {summary.words(result.collected)}")
    output.line(f"  record    {f'labResults[{i}].value.value':<31} {digits}")
    output.line(f"  FHIR      Observation.valueQuantity.value {resource['valueQuantity']['value']}")
    written = f'"value":{digits},' in text.decode()
    output.line(f'  as JSON   {"" if written else "NOT "}"value":{digits}')
    output.check("read back, digit for digit", passed=written and _digits(back) == digits)


def _show_exchange(output: DemoOutput, record: TherapyRecord, bundle: dict[str, Any]) -> None:
    """Exchange the record between two systems over the server, if it is installed."""
    output.line()
    output.line("Two systems exchange the record over the FHIR server")
    if any(find_spec(name) is None for name in ("flask", "joserfc", "waitress")):
        output.line("  the server is not installed: run pip install 'fhir-b12[server]'")
        return
    for what, passed, detail in import_module("fhir_b12.server.demo").exchange(record, bundle):
        output.check(what, passed=passed, detail=detail)


def _digits(result: LabResult) -> str:
    """Return the value with its digits, "" if it has no fraction."""
    text = str(result.value.value) if result.value is not None else ""
    return text if "." in text else ""


def _show_other_bundle(output: DemoOutput, path: str) -> None:
    """Read another system's Bundle, and update it without changing what no record contains."""
    bundle = read_json(path)
    reading = from_bundle(bundle)
    records = list(reading.records)
    output.line()
    output.line(f"A Bundle of another system: {Path(path).name}")
    counts = summary.count_by_class(item for record in records for item in record)
    output.line(f"  mapped   {format_type_counts(counts) or 'nothing'}")
    unmapped = format_type_counts(mapping.count_unmapped(reading))
    output.line(f"  unmapped {unmapped}" if unmapped else "  unmapped nothing")
    _show_issues(output, reading.issues)
    totals = _check_ledger(output, reading)
    if totals.share is not None:
        output.line(
            f"  {totals.share}% of the mapped resources is in records; update keeps the rest"
        )
    identical = dumps(mapping.apply_update(bundle, records)) == dumps(bundle)
    output.check("updated with its own records: identical", passed=identical)
    changed = list(_with_one_change(records))
    if changed:
        changes = list(mapping.list_changes(bundle, mapping.apply_update(bundle, changed)))
        output.check(
            "one record field changed",
            passed=[path.rpartition(".")[2] for _, path in changes] == ["gender"],
            detail=", ".join(f"{change} {path}" for change, path in changes) + ", nothing else",
        )


def _show_issues(output: DemoOutput, issues: Iterable[Issue]) -> None:
    counts = Counter(f"{issue.severity} {issue.code}" for issue in issues)
    if counts:
        output.line(f"  issues   {format_type_counts(counts)} (`fhir-b12 from-fhir` lists them)")


def _with_one_change(records: list[TherapyRecord]) -> Iterator[TherapyRecord]:
    """Yield the records with another gender of the first patient; nothing without a patient."""
    for i, record in enumerate(records):
        if record.patient is not None:
            gender = "other" if record.patient.gender == "unknown" else "unknown"
            patient = msgspec.structs.replace(record.patient, gender=gender)
            yield from records[:i]
            yield msgspec.structs.replace(record, patient=patient)
            yield from records[i + 1 :]
            return


def _show_next_commands(output: DemoOutput, folder: str | None) -> None:
    program = _program()
    output.line()
    output.line("Next")
    if not folder:
        output.line(f"  {program} demo --save try           save the files of this demo")
    output.line(
        f"  {program} explain {folder or 'try'}/bundle.json   table, row and field of each element"
    )
    output.line(f"  {program} codes holotranscobalamin  search the code tables")
    output.line(f"  {program} --help                    all commands")


def _program() -> str:
    """Return how to call this program: by name if it is on the path, else with its Python."""
    if shutil.which("fhir-b12"):
        return "fhir-b12"
    python = os.path.relpath(sys.executable)
    return f"{sys.executable if python.startswith('..') else python} -m fhir_b12"


def _sample_bundle() -> str | None:
    """Return the largest Synthea Bundle of the test fixtures, None if there are none."""
    default = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
    root = Path(os.environ.get("FHIR_B12_FIXTURES") or default)
    bundles = [path for path in root.glob("synthea/*.json.bz2") if not path.name.startswith("0-")]
    return str(max(bundles, key=lambda path: path.stat().st_size)) if bundles else None
