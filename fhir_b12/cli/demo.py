"""`demo`: a therapy course to FHIR and back, then a Bundle nobody here wrote, each step proven."""

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
from fhir_b12.cli.explain import Sums
from fhir_b12.cli.streams import counted, printable, read, write
from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.mapping.lens import from_fhir, lens_for, to_fhir
from fhir_b12.paths import leaves
from fhir_b12.records import LabResult, TherapyRecord, summary
from fhir_b12.validation import Validator


class Proof:
    """Lines of a story; `held` as long as everything claimed was true."""

    def __init__(self) -> None:
        self.held = True

    def say(self, text: str = "") -> None:
        """A line of the story."""
        print(printable(text))  # noqa: T201 - the demo is what it prints

    def state(self, what: str, *, holds: bool, how: str = "") -> None:
        """A claim with its proof."""
        self.held &= holds
        self.say(f"  {what:<40} {'yes' if holds else 'NO'}{': ' if how else ''}{how}")


def run(arguments: Namespace) -> int:
    """Show and prove; 1 where a proof fails."""
    proof = Proof()
    course = loads(data.read(data.mappings().joinpath("demo"), "course.json"))
    record, issues = plain.from_plain(course)
    if record is None:
        raise JsonError(issues)
    bundle = to_bundle(record)
    _ours(proof, record, bundle)
    _leaf(proof, record)
    _between(proof, record, bundle)
    if arguments.save:
        folder = Path(arguments.save)
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in (("course.json", course), ("bundle.json", bundle)):
            write(dumps(value, indent=2), str(folder / name))
    path = arguments.input or _sample()
    if path is None:
        proof.say()
        proof.say(f"A Bundle nobody here wrote: none is at hand; try {_command()} demo bundle.json")
    else:
        _theirs(proof, path)
    _next(proof, arguments.save)
    return 0 if proof.held else 1


def _ours(proof: Proof, record: TherapyRecord, bundle: dict[str, Any]) -> None:
    """The clinic's own course, there and back."""
    proof.say("A course of vitamin B12 infusions as a clinic keeps it (the patient is invented)")
    kinds = summary.count_by_class(record)
    for kind, n in kinds.items():
        one = next(each for each in record if type(each).__name__ == kind)
        proof.say(f"  {n:>3} {kind:<14} {summary.line(one)}"[:100])
    text = dumps(bundle)
    types = {entry["resource"]["resourceType"] for entry in bundle["entry"]}
    proof.say()
    proof.say(
        f"The same as a FHIR R4 {bundle['type']}: {len(bundle['entry'])} resources of "
        f"{len(types)} types, {len(text):,} bytes of JSON"
    )
    reading = from_bundle(loads(text))
    same = reading.records == (record,) and not reading.issues
    proof.state("read back, the record is identical", holds=same)
    asked = {(e["request"]["url"], e["request"].get("ifNoneExist")) for e in bundle["entry"]}
    once = {(kind, condition) for kind, condition in asked if condition}
    reactions = len(record.reactions)  # R4 finds no AdverseEvent by its identifier
    proof.state(
        "sent twice, nothing is made twice",
        holds=len(once) + reactions == len(bundle["entry"]) and dumps(to_bundle(record)) == text,
        how=f"{len(once)} ifNoneExist, each its own; R4 has none for the {reactions} reactions",
    )
    _accounted(proof, reading)
    _validated(proof, record, bundle)


def _validated(proof: Proof, record: TherapyRecord, bundle: dict[str, Any]) -> None:
    """What was written, held to R4 as a whole and to our profile one by one."""
    validator = Validator()
    whole = validator.validate(bundle)
    each = []
    for resource in map(to_fhir, record):
        lens = lens_for(resource)
        profile = lens.table.profile if lens else None
        each.append(validator.validate(resource, profiles=[profile] if profile else []))
    proof.state(
        "valid FHIR R4, and by our profiles",
        holds=whole.valid and all(report.valid for report in each),
        how=f"{whole.resources} resources, {len(whole)} pieces of advice",
    )


def _accounted(proof: Proof, reading: BundleReading) -> Sums:
    sums = Sums()
    sums.add(reading)
    paths = [entry.path for entry in reading.ledger]
    proof.state(
        "every leaf is accounted for once",
        holds=paths == [path for path, _ in leaves(reading.bundle)],
        how=sums.total,
    )
    return sums


def _leaf(proof: Proof, record: TherapyRecord) -> None:
    """One number all the way: as the laboratory wrote it, with its last zero."""
    i, result = next(
        (i, each) for i, each in enumerate(record.lab_results) if _digits(each).endswith("0")
    )
    digits, resource = _digits(result), to_fhir(result)
    text = dumps(resource)
    back = from_fhir(loads(text)).record
    assert isinstance(back, LabResult)
    proof.say()
    proof.say("One number all the way")
    proof.say(f"  {summary.words(result.test)}, collected {summary.words(result.collected)}")
    proof.say(f"  record    {f'labResults[{i}].value.value':<31} {digits}")
    proof.say(f"  FHIR      Observation.valueQuantity.value {resource['valueQuantity']['value']}")
    written = f'"value":{digits},' in text.decode()
    proof.say(f'  as JSON   {"" if written else "NOT "}"value":{digits}')
    proof.state("read back, digit for digit", holds=written and _digits(back) == digits)


def _between(proof: Proof, record: TherapyRecord, bundle: dict[str, Any]) -> None:
    """Two systems and the server between them, where it is installed."""
    proof.say()
    proof.say("Two systems exchange it, over the FHIR server")
    if any(find_spec(name) is None for name in ("flask", "joserfc", "waitress")):
        proof.say("  it is not installed; pip install 'fhir-b12[server]'")
        return
    for what, holds, how in import_module("fhir_b12.server.demo").exchange(record, bundle):
        proof.state(what, holds=holds, how=how)


def _digits(result: LabResult) -> str:
    """The value as measured, if it has a fraction."""
    text = str(result.value.value) if result.value is not None else ""
    return text if "." in text else ""


def _theirs(proof: Proof, path: str) -> None:
    """Somebody else's Bundle: read what a table reads, keep all the rest."""
    bundle = read(path)
    reading = from_bundle(bundle)
    records = list(reading.records)
    proof.say()
    proof.say(f"A Bundle nobody here wrote: {Path(path).name}")
    kinds = summary.count_by_class(each for record in records for each in record)
    proof.say(f"  read     {counted(kinds) or 'nothing'}")
    left = counted(mapping.unread(reading))
    proof.say(f"  left     {left}: no table reads these" if left else "  left     nothing")
    _complaints(proof, reading.issues)
    sums = _accounted(proof, reading)
    if sums.share is not None:
        proof.say(f"  of what tables read, {sums.share}% is in records; update keeps the rest")
    same = dumps(mapping.updated(bundle, records)) == dumps(bundle)
    proof.state("updated by its records: identical", holds=same)
    changed = list(_one_change(records))
    if changed:
        found = list(mapping.changes(bundle, mapping.updated(bundle, changed)))
        proof.state(
            "one field changed in the record",
            holds=[place.rpartition(".")[2] for _, place in found] == ["gender"],
            how=", ".join(f"{how} {place}" for how, place in found) + ", nothing else",
        )


def _complaints(proof: Proof, issues: Iterable[Issue]) -> None:
    found = Counter(f"{issue.severity} {issue.code}" for issue in issues)
    if found:
        proof.say(f"  issues   {counted(found)} (`fhir-b12 from-fhir` says which)")


def _one_change(records: list[TherapyRecord]) -> Iterator[TherapyRecord]:
    """The records, the first patient's gender another."""
    for i, record in enumerate(records):
        if record.patient is not None:
            gender = "other" if record.patient.gender == "unknown" else "unknown"
            patient = msgspec.structs.replace(record.patient, gender=gender)
            yield from records[:i]
            yield msgspec.structs.replace(record, patient=patient)
            yield from records[i + 1 :]
            return


def _next(proof: Proof, folder: str | None) -> None:
    ours = _command()
    proof.say()
    proof.say("Next")
    if not folder:
        proof.say(f"  {ours} demo --save try           the files of this demo, to play with")
    proof.say(
        f"  {ours} explain {folder or 'try'}/bundle.json   table, row and field of each element"
    )
    proof.say(f"  {ours} codes holotranscobalamin  what the code tables know of a text")
    proof.say(f"  {ours} --help                    all the rest")


def _command() -> str:
    """How this program is called from here: on the path, or in its own environment."""
    if shutil.which("fhir-b12"):
        return "fhir-b12"
    python = os.path.relpath(sys.executable)
    return f"{sys.executable if python.startswith('..') else python} -m fhir_b12"


def _sample() -> str | None:
    """The patient of Synthea with the longest history among the fixtures, where there are any."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
    root = Path(os.environ.get("FHIR_B12_FIXTURES") or beside)
    found = [p for p in root.glob("synthea/*.json.bz2") if not p.name.startswith("0-")]
    return str(max(found, key=lambda p: p.stat().st_size)) if found else None
