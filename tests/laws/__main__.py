"""The laws on real data: `python -m tests.laws` prints a table and fails where a law does."""

import bz2
import os
import re
import sys
import tarfile
from collections import Counter, defaultdict
from pathlib import Path

import msgspec

from fhir_b12.jsonio import loads
from fhir_b12.mapping.ledger import APART
from fhir_b12.mapping.lens import from_fhir, to_fhir, update
from fhir_b12.paths import leaves

TYPES = frozenset(
    [
        "Patient",
        "Observation",
        "MedicationAdministration",
        "Medication",
        "MedicationRequest",
        "Condition",
        "Procedure",
        "MedicationStatement",
        "AdverseEvent",
        "Encounter",
        "Appointment",
        "ServiceRequest",
    ]
)
GOALS = {"synthea": 95, "us-core": 90, "r4-examples": 85}


def root():
    return Path(os.environ.get("FHIR_B12_FIXTURES", "../shared/fixtures"))


def resources(folder):
    """(name, resource) of each resource of a fixture folder, Bundles opened."""
    if folder == "ips":
        for package in sorted((root() / "packages").glob("*ips*.tgz")):
            with tarfile.open(package) as tar:
                for member in tar:
                    if "/example/" in member.name and member.name.endswith(".json"):
                        stream = tar.extractfile(member)
                        if stream is not None:
                            yield from opened(member.name, loads(stream.read()))
        return
    for path in sorted((root() / folder).rglob("*.json*")):
        raw = path.read_bytes()
        yield from opened(path.name, loads(bz2.decompress(raw) if path.suffix == ".bz2" else raw))


def opened(name, resource):
    if resource.get("resourceType") != "Bundle":
        yield name, resource
        return
    for i, entry in enumerate(resource.get("entry", ())):
        if "resource" in entry:
            yield f"{name} entry {i}", entry["resource"]


def broken(resource, reading):
    """The laws one readable resource breaks, by name."""
    before = msgspec.json.encode(resource)
    record = reading.record
    again = from_fhir(to_fhir(record))
    if again.record != record or again.issues:
        yield "GetPut"
    if any(entry.kind == "residue" for entry in again.ledger):
        yield "GetPut residue"
    if msgspec.json.encode(update(resource, record)) != before:
        yield "PutGet"
    if msgspec.json.encode(resource) != before:
        yield "input changed"


def measure(folder):
    """type -> counts, commonest residue and law failures."""
    counts, residue, failures = defaultdict(Counter), defaultdict(Counter), []
    for name, resource in resources(folder):
        kind = resource.get("resourceType")
        if kind not in TYPES:
            continue
        reading, count = from_fhir(resource), counts[kind]
        count["resources"] += 1
        if [e.path for e in reading.ledger] != [path for path, _ in leaves(resource)]:
            failures.append((name, "Conservation"))
        for entry in reading.ledger:
            top = re.split(r"[.\[]", entry.path, maxsplit=1)[0]
            if top in APART or top == "resourceType":
                continue
            count[entry.kind] += 1
            if entry.kind == "residue":
                residue[kind][re.sub(r"\[\d+\]", "", entry.path)] += 1
        if reading.record is not None:
            count["read"] += 1
            count[f"as {type(reading.record).__name__}"] += 1
            failures += [(name, law) for law in broken(resource, reading)]
    return counts, residue, failures


def share(count):
    known = count["mapped"] + count["constant"] + count["derived"]
    return 100 * known / max(1, known + count["residue"])


def main():
    failed = False
    for folder in ("r4-examples", "us-core", "synthea", "ips"):
        if folder != "ips" and not (root() / folder).is_dir():
            print(f"{folder}: not there (set FHIR_B12_FIXTURES)")
            continue
        counts, residue, failures = measure(folder)
        total = sum(counts.values(), Counter())
        goal = GOALS.get(folder)
        print(
            f"\n{folder}: {share(total):.2f}% mapped"
            + (f" (goal {goal}%)" if goal else "")
            + f", {len(failures)} law failures"
        )
        for kind, count in sorted(counts.items()):
            tables = " ".join(
                f"{k[3:]}:{n}" for k, n in sorted(count.items()) if k.startswith("as ")
            )
            common = ", ".join(f"{path} {n}" for path, n in residue[kind].most_common(3))
            print(
                f"  {kind:25} {count['resources']:5} read {count['read']:5} {share(count):6.2f}%"
                f"  {tables}  {('left: ' + common) if common else ''}"
            )
        for name, law in failures[:20]:
            print(f"  FAILED {law}: {name}")
        failed |= bool(failures) or (goal is not None and share(total) < goal)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
