"""What things cost, as ratios to `json.loads` of the same bytes, in one run: `python -m benchmarks`."""

import json
import resource as usage
import subprocess
import sys
import timeit

from fhir_b12 import data, dumps, from_bundle, from_fhir, loads, plain, to_bundle, to_fhir

REPEATS = 7


def best(work, number):
    return min(timeit.repeat(work, number=number, repeat=REPEATS)) / number


def course():
    text = data.read(data.mappings().joinpath("demo"), "course.json")
    record, _ = plain.from_plain(loads(text))
    return record


def row(name, ratio, goal=""):
    print(f"{name:44} {ratio:8.2f}  {goal}")


def one_result(record):
    lab = record.lab_results[0]
    fhir = to_fhir(lab)
    text = dumps(fhir)
    unit = best(lambda: json.loads(text), 2000)
    print(f"one laboratory result, {len(text)} bytes, json.loads {unit * 1e6:.1f} us = 1")
    row("load exact", best(lambda: loads(text), 2000) / unit, "goal 1.5")
    row("encode", best(lambda: dumps(fhir), 2000) / unit, "goal 0.25")
    row("to_fhir", best(lambda: to_fhir(lab), 2000) / unit, "goal 0.4")
    row("from_fhir, ledger not looked at", best(lambda: from_fhir(fhir), 2000) / unit, "goal 1")
    both = best(lambda: len(from_fhir(fhir).ledger), 500)
    row("from_fhir and its whole ledger", both / unit, "goal 2.5")
    try:
        from fhir_b12.models import as_model  # noqa: PLC0415 - an extra
    except ImportError:
        return
    try:
        model = as_model(fhir)
    except ImportError:
        print("fhir.resources is not installed")
        return
    peer = type(model)
    row(
        "fhir.resources: model_validate_json",
        best(lambda: peer.model_validate_json(text), 50) / unit,
    )
    row("fhir.resources: model_dump_json", best(model.model_dump_json, 50) / unit)


def bundles(record):
    small = to_bundle(record)["entry"]
    print("\na Bundle of N entries: microseconds an entry")
    for count in (1000, 10_000):
        entries = []
        while len(entries) < count:
            turn = len(entries)
            entries += [{**e, "fullUrl": f"urn:uuid:{turn}-{i}"} for i, e in enumerate(small)]
        text = dumps({"resourceType": "Bundle", "type": "collection", "entry": entries[:count]})
        spent = best_once(lambda text=text: from_bundle(loads(text)))
        unit = best_once(lambda text=text: json.loads(text))
        print(f"{count:8} entries  {spent / count * 1e6:8.1f} us  {spent / unit:6.2f} x json.loads")
    peak = usage.getrusage(usage.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak memory {peak / 1e6:.0f} MB, {peak / len(text):.1f} x the larger Bundle's bytes")


def best_once(work):
    return min(timeit.repeat(work, number=1, repeat=3))


def start():
    code = "import time; t = time.perf_counter(); import fhir_b12; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    print(f"\nimport fhir_b12: {min(times) * 1e3:.1f} ms (goal 60)")


if __name__ == "__main__":
    record = course()
    one_result(record)
    bundles(record)
    start()
