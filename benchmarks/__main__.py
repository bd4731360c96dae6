"""What things cost, in one run: ratios to `json.loads` of the same bytes, the goals, and a peer.

    python -m benchmarks

Each figure is the best of many short rounds; the rounds of all that is compared take turns, so that
a slow moment of the machine hits everything alike.
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


def best(works, rounds=ROUNDS, times=TIMES):
    """name -> seconds of the quickest round of each."""
    found = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            found[name] = min(found[name], timeit.timeit(work, number=times) / times)
    return found


def course():
    text = data.read(data.mappings().joinpath("demo"), "course.json")
    record, issues = from_plain(loads(text))
    assert not issues
    return record


GOALS = {
    "load exact": 1.5,
    "encode": 0.25,
    "to_fhir": 0.4,
    "from_fhir, ledger not looked at": 1,
    "from_fhir and its whole ledger": 2.5,
}


def one(record):
    """One record of a kind."""
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
        "from_fhir, ledger not looked at": lambda: from_fhir(fhir),
        "from_fhir and its whole ledger": lambda: from_fhir(fhir).ledger,
    }
    spent = best(ours)
    theirs = {
        "json.loads": ours["json.loads"],
        "fhir.resources: model_validate_json": lambda: peer.model_validate_json(text),
        "fhir.resources: model_dump_json": model.model_dump_json,
    }
    peers = best(theirs, rounds=10, times=20)
    unit = spent.pop("json.loads")
    print(
        f"\n{type(record).__name__}, {len(text)} bytes, {len(from_fhir(fhir).ledger)} leaves: "
        f"json.loads takes {unit * 1e6:.1f} us"
    )
    for name, seconds in spent.items():
        print(f"  {name:38} {seconds / unit:7.2f}   goal {GOALS[name]}")
    for name in list(theirs)[1:]:
        print(f"  {name:38} {peers[name] / peers['json.loads']:7.2f}")


def many(record, count):
    """The text of a Bundle of so many entries."""
    small = to_bundle(record)["entry"]
    entries = []
    while len(entries) < count:
        turn = len(entries)
        for i, entry in enumerate(small):
            made = {**entry["resource"], "id": f"r{turn}-{i}"}
            made.pop("identifier", None)
            entries.append({"fullUrl": f"urn:uuid:{turn}-{i}", "resource": made})
    return dumps({"resourceType": "Bundle", "type": "collection", "entry": entries[:count]})


def bundles(record):
    print("\nA Bundle of N entries, microseconds an entry")
    texts = {count: many(record, count) for count in (1000, 10_000)}
    works = {}
    for count, text in texts.items():
        value = loads(text)
        works[count, "json.loads"] = lambda text=text: json.loads(text)
        works[count, "loads"] = lambda text=text: loads(text)
        works[count, "from_bundle"] = lambda value=value: from_bundle(value)
        reading = from_bundle(value)
        works[count, "ledger"] = lambda reading=reading: reading.ledger
    spent = best(works, rounds=3, times=1)
    for count in texts:
        row = {name: spent[n, name] / n * 1e6 for n, name in spent if n == count}
        print(f"  {count:6}  " + "   ".join(f"{name} {cost:6.1f}" for name, cost in row.items()))
    grown = spent[10_000, "from_bundle"] / spent[1000, "from_bundle"] / 10
    print(
        f"  from_bundle costs {100 * grown - 100:+.0f}% an entry at ten times the size (goal ±15%)"
    )
    return texts[10_000]


PEAK = """
import re, sys
from fhir_b12 import from_bundle, loads
# not ru_maxrss: a child begins with its parent's
peak = lambda: 1024 * int(re.search("VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1])
raw = open(sys.argv[1], "rb").read()
before = peak(); value = loads(raw); loaded = peak(); reading = from_bundle(value); read = peak()
reading.ledger; all_ = peak()
print((loaded - before) / len(raw), (read - before) / len(raw), (all_ - before) / len(raw))
"""


def memory(text):
    """Peak memory of a process of its own, as multiples of the text."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        ran = subprocess.run(
            [sys.executable, "-c", PEAK, file.name], capture_output=True, check=True, text=True
        )
    loaded, read, everything = map(float, ran.stdout.split())
    print(f"\nMemory for {len(text) / 1e6:.0f} MB, in times the text (goal 12):")
    print(f"  loads {loaded:.1f}, and from_bundle {read:.1f}, and the ledger {everything:.1f}")


def lines(record):
    """NDJSON of any length in the memory of one line."""
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
    print(f"NDJSON: 100,000 lines raise the peak of 10,000 by {peaks[1] - peaks[0]} KB")


def start():
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
          f"heavy modules in it: {', '.join(runs[0][1:]) or 'none'}")  # fmt: skip


def main():
    record = course()
    print(f"Python {sys.version.split()[0]}; ratios to json.loads of the same bytes")
    for kind in (LabResult, Infusion, Condition):
        one(next(each for each in record if isinstance(each, kind)))
    lines(record.lab_results[0])
    memory(bundles(record))
    start()


if __name__ == "__main__":
    main()
