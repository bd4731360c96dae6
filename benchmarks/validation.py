"""What validation costs: ratios to `json.loads` of the same bytes, to a peer, and to the reference.

    python -m benchmarks.validation [--reference]

US Core's package is taken from the folder of public examples where it is there.
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
from pathlib import Path

from benchmarks.__main__ import best, course
from fhir_b12 import as_model, dumps, loads, to_fhir
from fhir_b12.records import Condition, Infusion, LabResult
from fhir_b12.validation import Validator
from tests.conftest import fixtures_root

GOALS = {"base": 3, "all": 6, "US Core": 8}


def narrated(fhir):
    """A resource with a narrative, as senders have it."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p>Vitamin B12</p></div>'
    return {**fhir, "text": {"status": "generated", "div": div}}


def one(name, fhir, validators):
    text = dumps(fhir)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = type(as_model({each: fhir[each] for each in fhir if each != "contained"}))
    works = {"json.loads": lambda: json.loads(text)}
    for kind, validator in validators.items():
        report = validator.validate(fhir)
        assert report.valid, list(report)
        works[kind] = lambda validator=validator: validator.validate(fhir)
    spent = best(works, rounds=30, times=50)
    peers = best({"peer": lambda: peer.model_validate_json(text)}, rounds=10, times=20)
    unit = spent.pop("json.loads")
    print(f"\n{name}, {len(text)} bytes: json.loads takes {unit * 1e6:.1f} us")
    for kind, seconds in spent.items():
        print(f"  {kind:34} {seconds / unit:7.2f}   goal {GOALS[kind]}")
    print(f"  {'fhir.resources: model_validate_json':34} {peers['peer'] / unit:7.2f}")
    return spent["base"]


def beside_reference(resources, spent):
    from tests.conformance.reference import Reference  # noqa: PLC0415  # needs Java

    print("\nTimes as fast as the reference, warm")
    with Reference() as reference:
        for name, fhir in resources.items():
            text = dumps(fhir).decode()
            took = min(reference.ask(text)["microseconds"] for _ in range(200))
            print(f"  {name:34} {took / 1e6 / spent[name]:7.0f}   goal 200 ({took} us)")


def entry(number):
    """An Observation with three references."""
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


def bundles():
    print("\nA Bundle of N entries with three references each")
    for count in (100, 1_000, 10_000, 100_000):
        code = "from benchmarks.validation import bundle; import sys; bundle(int(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, str(count)], check=True)


def bundle(count):
    value = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": list(map(entry, range(count))),
    }
    validator = Validator()
    validator.validate({**value, "entry": value["entry"][:1]})
    began = time.perf_counter()
    report = validator.validate(value)
    took = time.perf_counter() - began
    assert report.valid
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  {count:7} {took / count * 1e6:6.1f} us an entry, {took:6.2f} s, {memory:5.0f} MB in all"
    )


def streamed():
    count = 20_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "Observation.ndjson"
        file.write_bytes(b"".join(dumps(entry(n)["resource"]) + b"\n" for n in range(count)))
        began = time.perf_counter()
        with file.open("rb") as stream:
            checked = sum(1 for _ in Validator().lines(stream))
        alone = time.perf_counter() - began
        print(f"\nNDJSON of {checked} lines: {alone / count * 1e6:.1f} us a line, loading included")
        command = [sys.executable, "-m", "fhir_b12", "validate", str(file), "--jobs"]
        took = {}
        for jobs in ("1", "2"):
            began = time.perf_counter()
            subprocess.run([*command, jobs], check=True, capture_output=True)
            took[jobs] = time.perf_counter() - began
        print(f"  --jobs 2: {took['1'] / took['2']:.2f} times as fast as --jobs 1   goal 1.7")


def cold(fhir, package):
    print("\nFrom a cold start to the verdict, the interpreter's own start included")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "resource.json"
        file.write_bytes(dumps(fhir))
        command = [sys.executable, "-m", "fhir_b12", "validate", str(file)]
        bare = [sys.executable, "-c", "pass"]
        asked = {"bare Python": bare, "validate": command}
        if package:
            asked["validate --ig US Core"] = [*command, "--ig", str(package)]
        for name, each in asked.items():
            run = lambda each=each: subprocess.run(each, check=False, capture_output=True)  # noqa: E731
            run()
            print(f"  {name:34} {min(timeit.repeat(run, number=1, repeat=5)):7.3f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", action="store_true", help="beside HL7's validator (Java)")
    asked = parser.parse_args()
    record = course()
    found = {}
    for kind in (LabResult, Infusion, Condition):
        first = next(each for each in record if isinstance(each, kind))
        found[kind.__name__] = narrated(to_fhir(first))
    base, whole = Validator(plausibility=False, terminology=False), Validator()
    spent = {}
    for name, fhir in found.items():
        plain = {each: fhir[each] for each in fhir if each != "meta"}
        spent[name] = one(name, plain, {"base": base})
        one(f"{name} with our profile", fhir, {"base": base, "all": whole})
    package = next((fixtures_root() / "packages").glob("hl7.fhir.us.core-*.tgz"), None)
    if package:
        us_core(package)
    bundles()
    streamed()
    cold(found["LabResult"], package)
    if asked.reference:
        plain = {name: {**fhir, "meta": {"versionId": "1"}} for name, fhir in found.items()}
        beside_reference(plain, spent)


def us_core(package):
    file = next((fixtures_root() / "us-core").rglob("Observation-*.json"), None)
    profile = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
    for file in sorted((fixtures_root() / "us-core" / "Observation").glob("*.json")):
        fhir = loads(file.read_bytes())
        validator = Validator([profile], [package])
        if b"laboratory" in file.read_bytes() and validator.validate(fhir).valid:
            base = Validator(plausibility=False, terminology=False)
            one(f"US Core, {file.name}", fhir, {"base": base, "US Core": validator})
            return


if __name__ == "__main__":
    main()
