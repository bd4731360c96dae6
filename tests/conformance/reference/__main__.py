"""`python -m tests.conformance.reference [--mutants N] [--seed S]`: validate new mutants with both validators."""

import argparse
import json
import random
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from fhir_b12 import jsonio
from fhir_b12.guide import package
from fhir_b12.mapping.lens import to_fhir
from fhir_b12.validation import Validator
from tests.conformance.disagreements import ListedDifferences, differences
from tests.conformance.mutations import mutant
from tests.conformance.outcomes import Row, Tally, plain_location
from tests.conformance.reference import HERE, Reference
from tests.conftest import fixtures_root
from tests.test_profiles_of_ours import RECORD_TYPES, draw_records, profile_of

#: part of the message after a null pointer exception of the reference, which stops it
_NULL_POINTER = "Cannot invoke"
US_CORE, IPS = "hl7.fhir.us.core-6.1.0.tgz", "hl7.fhir.uv.ips-1.1.0.tgz"


def sources(fixtures: Path, name: str):
    """Return resources to mutate, each with the profiles to validate it against.

    Official examples, those of US Core and IPS, and resources written from records of every type.
    """
    if name == "ours":
        return written_resources()
    return [(resource, ()) for resource in examples(fixtures, name)]


def written_resources():
    """Return resources written from 20 records of each type, and the examples of our package."""
    resources = [
        (json.loads(jsonio.dumps(to_fhir(record))), (profile_of(record_type),))
        for record_type in RECORD_TYPES
        for record in draw_records(record_type, 20)
    ]
    resources += [
        (json.loads(text), ())
        for name, text in sorted(package.files().items())
        if "example/" in name and not name.endswith((".index.json", "package.json"))
    ]
    return resources


def examples(fixtures: Path, name: str):
    """Return the example resources of R4 or of a package."""
    if name == "base":
        files = sorted((fixtures / "r4-examples").rglob("*.json"))
        return [json.loads(file.read_text("utf-8")) for file in files]
    package = fixtures / "packages" / (US_CORE if name == "us-core" else IPS)
    with tarfile.open(package) as archive:
        return [
            json.load(archive.extractfile(member))
            for member in archive
            if "/example/" in member.name and member.name.endswith(".json")
        ]


def compare(name: str, number: int, seed: int, fixtures: Path) -> Tally:
    """Validate a number of mutants with both validators and print the agreement."""
    packages = {"us-core": [fixtures / "packages" / US_CORE], "ips": [fixtures / "packages" / IPS]}
    packages = packages.get(name, [])
    if name == "ours":
        packages = [Path(tempfile.mkdtemp()) / package.file_name()]
        packages[0].write_bytes(package.pack_files(package.files()))
    draw = random.Random(f"{name} {seed}")
    originals = [
        (resource, profiles)
        for resource, profiles in sources(fixtures, name)
        if len(json.dumps(resource)) < 20_000
    ]
    tally, ours_us, theirs_us, crashes = Tally(), 0.0, 0.0, 0
    validator = Validator((), packages, plausibility=False)
    with Reference(packages) as reference:
        while tally.total < number:
            source, profiles = draw.choice(originals)
            change = mutant(source, draw)
            if change is None:
                continue
            operator, path, resource = change
            text = json.dumps(resource)
            answer = reference.ask(text, profiles)
            if "crash" in answer or any(_NULL_POINTER in str(i) for i in answer["issues"]):
                crashes += 1
                continue
            location = ".".join(map(str, path))
            row = Row(
                f"{name}-{seed}-{tally.total} {location}",
                text,
                profiles,
                tuple(answer["issues"]),
                operator,
            )
            began = time.perf_counter()
            report = validator.validate(text, profiles=profiles)
            ours_us += (time.perf_counter() - began) * 1e6
            theirs_us += answer["microseconds"]
            tally.add(row, report)
    print(
        f"{name}: {tally.total} mutants of seed {seed}: verdicts {tally.verdicts / tally.total:.2%}, "
        f"locations {tally.locations / tally.total:.2%}; {crashes} crashes of the reference; "
        f"{theirs_us / ours_us:.0f} times as fast"
    )
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--of", nargs="*", default=["base", "us-core", "ips", "ours"])
    parser.add_argument("--save", type=Path, help="write the differing rows here, as NDJSON")
    options = parser.parse_args()
    fixtures = fixtures_root()
    listed = ListedDifferences(HERE / "differences.toml")
    differing, unlisted = [], 0
    for name in options.of:
        tally = compare(name, options.mutants // len(options.of), options.seed, fixtures)
        for row, report, missing, extra in tally.differing:
            new = [item for item in differences(row, report) if not listed.covers(item, row)]
            unlisted += bool(new)
            for difference in new:
                print(f"  not listed: {difference}")
            rules = {plain_location(i.expression): i.rule for i in report if i.is_error}
            differing.append({"name": row.name, "operator": row.operator, "missing": sorted(missing),
                              "extra": {location: rules[location] for location in extra}, "issues": row.issues,
                              "profiles": row.profiles, "text": row.text})  # fmt: skip
        print(f"  {len(tally.differing)} differ")
    if options.save:
        options.save.write_text("".join(json.dumps(item) + "\n" for item in differing), "utf-8")
    print(f"{unlisted} mutants have differences that differences.toml does not list")
    sys.exit(unlisted > 0)


if __name__ == "__main__":
    main()
