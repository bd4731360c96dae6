"""Benchmarks of the mapping, as ratios to `json.loads` of the same bytes, with goals and a peer.

    python -m benchmarks

Each figure is the minimum of many short rounds. The rounds of the compared functions alternate, so
that a slow moment of the machine affects all of them.
"""

import json
import resource
import subprocess
import sys
import tempfile
import timeit
import warnings

from fhir_b12 import (
    as_model,
    data,
    dumps,
    from_bundle,
    from_fhir,
    from_plain,
    loads,
    to_bundle,
    to_fhir,
)
from fhir_b12.jsonio import read_lines
from fhir_b12.records import Condition, Infusion, LabResult

ROUNDS, TIMES = 40, 100


def fastest(functions, rounds=ROUNDS, times=TIMES):
    """Return the seconds per call of the fastest round of each function, by name."""
    seconds = dict.fromkeys(functions, float("inf"))
    for _ in range(rounds):
        for name, function in functions.items():
            seconds[name] = min(seconds[name], timeit.timeit(function, number=times) / times)
    return seconds


def demo_record():
    """Return the therapy record of the demo."""
    text = data.read(data.mappings().joinpath("demo"), "course.json")
    record, issues = from_plain(loads(text))
    assert not issues
    return record


GOALS = {
    "load exact": 1.5,
    "encode": 0.8,
    "to_fhir": 1.5,
    "from_fhir, ledger not accessed": 1,
    "from_fhir with the whole ledger": 2.5,
}


def compare_record(record):
    """Print the cost of reading and writing one record."""
    fhir = to_fhir(record)
    text = dumps(fhir)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = as_model(fhir)
    peer = type(model)
    ours = {
        "json.loads": lambda: json.loads(text),
        "load exact": lambda: loads(text),
        "encode": lambda: dumps(fhir),
        "to_fhir": lambda: to_fhir(record),
        "from_fhir, ledger not accessed": lambda: from_fhir(fhir),
        "from_fhir with the whole ledger": lambda: from_fhir(fhir).ledger,
    }
    seconds = fastest(ours)
    theirs = {
        "json.loads": ours["json.loads"],
        "fhir.resources: model_validate_json": lambda: peer.model_validate_json(text),
        "fhir.resources: model_dump_json": model.model_dump_json,
    }
    peers = fastest(theirs, rounds=10, times=20)
    unit = seconds.pop("json.loads")
    print(
        f"\n{type(record).__name__}, {len(text)} bytes, {len(from_fhir(fhir).ledger)} leaves: "
        f"json.loads takes {unit * 1e6:.1f} us"
    )
    for name, duration in seconds.items():
        print(f"  {name:38} {duration / unit:7.2f}   goal {GOALS[name]}")
    for name in list(theirs)[1:]:
        print(f"  {name:38} {peers[name] / peers['json.loads']:7.2f}")


def large_bundle(record, count):
    """Return a Bundle of `count` entries as JSON."""
    originals = to_bundle(record)["entry"]
    entries = []
    while len(entries) < count:
        start = len(entries)
        for i, entry in enumerate(originals):
            copy = {**entry["resource"], "id": f"r{start}-{i}"}
            copy.pop("identifier", None)
            entries.append({"fullUrl": f"urn:uuid:{start}-{i}", "resource": copy})
    return dumps({"resourceType": "Bundle", "type": "collection", "entry": entries[:count]})


def compare_bundles(record):
    """Print the cost per entry of Bundles of two sizes; return the larger one as JSON."""
    print("\nA Bundle of N entries, microseconds per entry")
    texts = {count: large_bundle(record, count) for count in (1000, 10_000)}
    functions = {}
    for count, text in texts.items():
        value = loads(text)
        functions[count, "json.loads"] = lambda text=text: json.loads(text)
        functions[count, "loads"] = lambda text=text: loads(text)
        functions[count, "from_bundle"] = lambda value=value: from_bundle(value)
        reading = from_bundle(value)
        functions[count, "ledger"] = lambda reading=reading: reading.ledger
    seconds = fastest(functions, rounds=3, times=1)
    for count in texts:
        row = {name: seconds[n, name] / n * 1e6 for n, name in seconds if n == count}
        print(f"  {count:6}  " + "   ".join(f"{name} {cost:6.1f}" for name, cost in row.items()))
    growth = seconds[10_000, "from_bundle"] / seconds[1000, "from_bundle"] / 10
    change = 100 * growth - 100
    print(f"  from_bundle costs {change:+.0f}% per entry at ten times the size (goal ±15%)")
    return texts[10_000]


PEAK = """
import re, sys
from fhir_b12 import from_bundle, loads
# not ru_maxrss: a child process inherits that of its parent
peak = lambda: 1024 * int(re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1])
raw = open(sys.argv[1], "rb").read()
before = peak(); value = loads(raw); loaded = peak(); reading = from_bundle(value); read = peak()
reading.ledger; all_ = peak()
print((loaded - before) / len(raw), (read - before) / len(raw), (all_ - before) / len(raw))
"""


def measure_memory(text):
    """Print the peak memory of a separate process, as multiples of the size of the text."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        process = subprocess.run(
            [sys.executable, "-c", PEAK, file.name], capture_output=True, check=True, text=True
        )
    loaded, read, everything = map(float, process.stdout.split())
    print(f"\nMemory for {len(text) / 1e6:.0f} MB, as multiples of the text (goal 12):")
    print(f"  loads {loaded:.1f}, then from_bundle {read:.1f}, then the ledger {everything:.1f}")


def measure_ndjson(record):
    """Print how much ten times as many NDJSON lines raise the peak memory."""
    line = dumps(to_fhir(record)) + b"\n"
    peaks = []
    for count in (10_000, 100_000):
        with tempfile.TemporaryFile() as file:
            for _ in range(count):
                file.write(line)
            file.seek(0)
            read = sum(from_fhir(value).record is not None for _, value in read_lines(file))
        assert read == count
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(f"NDJSON: 100,000 lines raise the peak memory of 10,000 by {peaks[1] - peaks[0]} KB")


def measure_import():
    """Print the duration of `import fhir_b12` and the heavy modules that it loads."""
    code = (
        "import time, sys; t = time.perf_counter(); import fhir_b12; t = time.perf_counter() - t;"
        "print(t, *{'pydantic', 'flask', 'requests', 'sqlalchemy', 'rich'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
        for _ in range(7)
    ]
    print(f"\nimport fhir_b12: {min(float(run[0]) for run in runs) * 1e3:.1f} ms (goal 60), "
          f"heavy modules loaded: {', '.join(runs[0][1:]) or 'none'}")  # fmt: skip


def main():
    record = demo_record()
    print(f"Python {sys.version.split()[0]}; ratios to json.loads of the same bytes")
    for record_type in (LabResult, Infusion, Condition):
        compare_record(next(item for item in record if isinstance(item, record_type)))
    measure_ndjson(record.lab_results[0])
    measure_memory(compare_bundles(record))
    measure_import()


if __name__ == "__main__":
    main()
