"""Check the laws on real data: `python -m tests.laws` prints a table, fails if one is violated."""

import bz2
import re
import sys
import tarfile
from collections import Counter, defaultdict

import msgspec

from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping.ledger import APART
from fhir_b12.mapping.lens import from_fhir, to_fhir, update
from fhir_b12.paths import leaves
from tests.conftest import fixtures_root

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


def resources(folder):
    """Yield name and resource for each resource of a fixture folder and of its Bundles."""
    if folder == "ips":
        for package in sorted((fixtures_root() / "packages").glob("*ips*.tgz")):
            with tarfile.open(package) as tar:
                for member in tar:
                    if "/example/" in member.name and member.name.endswith(".json"):
                        stream = tar.extractfile(member)
                        if stream is not None:
                            yield from entries_of(member.name, loads(stream.read()))
        return
    for path in sorted((fixtures_root() / folder).rglob("*.json*")):
        raw = path.read_bytes()
        yield from entries_of(
            path.name, loads(bz2.decompress(raw) if path.suffix == ".bz2" else raw)
        )


def entries_of(name, resource):
    if resource.get("resourceType") != "Bundle":
        yield name, resource
        return
    for i, entry in enumerate(resource.get("entry", ())):
        if "resource" in entry:
            yield f"{name} entry {i}", entry["resource"]


def violated_laws(resource, reading, other):
    """Yield the laws that a resource violates; `other` is a resource of the same record type."""
    before = dumps(resource)
    record = reading.record
    again = from_fhir(to_fhir(record))
    if again.record != record or again.issues:
        yield "GetPut"
    if again.ledger.residue:
        yield "GetPut residue"
    if dumps(update(resource, record)) != before:
        yield "PutGet"
    if from_fhir(update(other, record)).record != record:
        yield "Put"
    changed = update(resource, msgspec.structs.replace(record, language="de-CH"))
    if dumps({**changed, "language": resource.get("language")}) != dumps(
        {**resource, "language": resource.get("language")}
    ):
        yield "Locality"
    if dumps(resource) != before:
        yield "input changed"


def measure(folder):
    """Return counts by type, most common residue by type, law failures."""
    counts, residue, failures, last = defaultdict(Counter), defaultdict(Counter), [], {}
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
            other = last.setdefault(type(reading.record), resource)
            failures += [(name, law) for law in violated_laws(resource, reading, other)]
            last[type(reading.record)] = resource
    return counts, residue, failures


def share(count):
    known = count["mapped"] + count["constant"] + count["derived"]
    return 100 * known / max(1, known + count["residue"])


def main():
    failed = False
    for folder in ("r4-examples", "us-core", "synthea", "ips"):
        if folder != "ips" and not (fixtures_root() / folder).is_dir():
            print(f"{folder}: not found (set FHIR_B12_FIXTURES)")
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
                f"  {tables}  {('residue: ' + common) if common else ''}"
            )
        for name, law in failures[:20]:
            print(f"  FAILED {law}: {name}")
        failed |= bool(failures) or (goal is not None and share(total) < goal)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
