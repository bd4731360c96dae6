"""Benchmarks of the validator, as ratios to `json.loads` of the same bytes, to a peer and to HL7's.

    python -m benchmarks.validation [--reference]

The US Core package is taken from the folder of public examples, if it exists.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import timeit
import warnings
from functools import partial
from pathlib import Path

from benchmarks.__main__ import demo_record, fastest
from fhir_b12 import as_model, dumps, loads, to_fhir
from fhir_b12.records import Condition, Infusion, LabResult
from fhir_b12.validation import Validator
from tests.conftest import fixtures_root

GOALS = {"base": 3, "all": 6, "US Core": 8}


def add_narrative(fhir):
    """Return a resource with a narrative, as most senders write one."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Vitamin B12</p></div>'
    return {**fhir, "text": {"status": "generated", "div": div}}


def compare_resource(name, fhir, validators):
    """Print the cost of validating one resource; return the seconds for the base rules."""
    text = dumps(fhir)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = type(as_model({name: fhir[name] for name in fhir if name != "contained"}))
    functions = {"json.loads": lambda: json.loads(text)}
    for variant, validator in validators.items():
        report = validator.validate(fhir)
        assert report.valid, list(report)
        functions[variant] = lambda validator=validator: validator.validate(fhir)
    seconds = fastest(functions, rounds=30, times=50)
    peers = fastest({"peer": lambda: peer.model_validate_json(text)}, rounds=10, times=20)
    unit = seconds.pop("json.loads")
    print(f"\n{name}, {len(text)} bytes: json.loads takes {unit * 1e6:.1f} us")
    for variant, duration in seconds.items():
        print(f"  {variant:34} {duration / unit:7.2f}   goal {GOALS[variant]}")
    print(f"  {'fhir.resources: model_validate_json':34} {peers['peer'] / unit:7.2f}")
    return seconds["base"]


def compare_reference(resources, seconds):
    """Print how many times faster than HL7's validator, warm, the base rules are."""
    from tests.conformance.reference import Reference  # noqa: PLC0415  # needs Java

    print("\nSpeed as a multiple of the reference, warm")
    with Reference() as reference:
        for name, fhir in resources.items():
            text = dumps(fhir).decode()
            duration = min(reference.ask(text)["microseconds"] for _ in range(200))
            ratio = duration / 1e6 / seconds[name]
            print(f"  {name:34} {ratio:7.0f}   goal 200 ({duration} us)")


def entry(number):
    """Return a Bundle entry with an Observation that has three references."""
    fhir = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"text": "Vitamin B12"},
        "subject": {"reference": f"Patient/p{number // 100}"},
        "performer": [{"reference": f"Practitioner/x{number % 7}"}],
        "encounter": {"reference": f"Encounter/e{number}"},
        "effectiveDateTime": "2026-01-01T10:00:00Z",
        "valueQuantity": {
            "value": 200 + number % 100,
            "unit": "pg/mL",
            "system": "http://unitsofmeasure.org",
            "code": "pg/mL",
        },
    }
    return {"fullUrl": f"http://clinic.example/Observation/o{number}", "resource": fhir}


def measure_bundles():
    """Print the cost per entry of Bundles of four sizes, each in its own process."""
    print("\nA Bundle of N entries with three references each")
    for count in (100, 1_000, 10_000, 100_000):
        code = f"from benchmarks.validation import measure_bundle; measure_bundle({count})"
        subprocess.run([sys.executable, "-c", code], check=True)


def measure_bundle(count):
    """Print duration and peak memory of validating a Bundle of `count` entries."""
    value = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": list(map(entry, range(count))),
    }
    validator = Validator()
    validator.validate({**value, "entry": value["entry"][:1]})
    start = time.perf_counter()
    report = validator.validate(value)
    duration = time.perf_counter() - start
    assert report.valid
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    per_entry = duration / count * 1e6
    print(f"  {count:7} {per_entry:6.1f} us per entry, {duration:6.2f} s, {memory:5.0f} MB in all")


def measure_ndjson():
    """Print the cost per line of NDJSON, and the speed-up of two processes."""
    count = 20_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Observation.ndjson"
        file.write_bytes(b"".join(dumps(entry(n)["resource"]) + b"\n" for n in range(count)))
        start = time.perf_counter()
        with file.open("rb") as stream:
            lines = sum(1 for _ in Validator().lines(stream))
        per_line = (time.perf_counter() - start) / count * 1e6
        print(f"\nNDJSON of {lines} lines: {per_line:.1f} us per line, parsing included")
        command = [sys.executable, "-m", "fhir_b12", "validate", str(file), "--jobs"]
        durations = {}
        for jobs in ("1", "2"):
            start = time.perf_counter()
            subprocess.run([*command, jobs], check=True, capture_output=True)
            durations[jobs] = time.perf_counter() - start
        speedup = durations["1"] / durations["2"]
        print(f"  --jobs 2: {speedup:.2f} times as fast as --jobs 1   goal 1.7")


def measure_cold_start(fhir, package):
    """Print the duration of the command line for one resource."""
    print("\nFrom a cold start to the result, including the start of the interpreter")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resource.json"
        file.write_bytes(dumps(fhir))
        command = [sys.executable, "-m", "fhir_b12", "validate", str(file)]
        bare = [sys.executable, "-c", "pass"]
        commands = {"bare Python": bare, "validate": command}
        if package:
            commands["validate --ig US Core"] = [*command, "--ig", str(package)]
        for name, arguments in commands.items():
            run = partial(subprocess.run, arguments, check=False, capture_output=True)
            run()
            print(f"  {name:34} {min(timeit.repeat(run, number=1, repeat=5)):7.3f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--reference", action="store_true", help="compare with HL7's validator (Java)"
    )
    arguments = parser.parse_args()
    record = demo_record()
    resources = {}
    for record_type in (LabResult, Infusion, Condition):
        first = next(item for item in record if isinstance(item, record_type))
        resources[record_type.__name__] = add_narrative(to_fhir(first))
    base, full = Validator(plausibility=False, terminology=False), Validator()
    seconds = {}
    for name, fhir in resources.items():
        without_profile = {key: fhir[key] for key in fhir if key != "meta"}
        seconds[name] = compare_resource(name, without_profile, {"base": base})
        compare_resource(f"{name} with our profile", fhir, {"base": base, "all": full})
    package = next((fixtures_root() / "packages").glob("hl7.fhir.us.core-*.tgz"), None)
    if package:
        measure_us_core(package)
    measure_bundles()
    measure_ndjson()
    measure_cold_start(resources["LabResult"], package)
    if arguments.reference:
        without_profile = {
            name: {**fhir, "meta": {"versionId": "1"}} for name, fhir in resources.items()
        }
        compare_reference(without_profile, seconds)


def measure_us_core(package):
    """Print the cost of validating a laboratory result of US Core against its profile."""
    profile = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
    for file in sorted((fixtures_root() / "us-core" / "Observation").glob("*.json")):
        fhir = loads(file.read_bytes())
        validator = Validator([profile], [package])
        if b"laboratory" in file.read_bytes() and validator.validate(fhir).valid:
            base = Validator(plausibility=False, terminology=False)
            compare_resource(f"US Core, {file.name}", fhir, {"base": base, "US Core": validator})
            return


if __name__ == "__main__":
    main()
