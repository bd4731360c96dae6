"""Requests a second of the server, clients and servers on the same cores.

    python -m benchmarks.facade [--stored 2000] [--exported 50000] [--peer VENV] [--postgres URL]
                                [--growth SIZE ...]

Every server is a process of its own. Reads and `$validate` are compared with a Flask view that
returns a constant of the same size from the same web server; creates with a view that inserts
durably, several inserts per commit; transactions and searches with sekmet-fhir, if `--peer` names a
virtual environment for it. The rounds alternate between the servers; the best round counts.
"""

import argparse
import json
import subprocess
import tempfile
import time
import timeit
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks import served
from benchmarks.served import (
    SEARCH,
    SECONDS,
    Workload,
    latencies,
    observation,
    rate,
    request,
    transaction,
)
from fhir_b12.server.config import Config
from fhir_b12.server.open_store import open_store
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import FullAccess

ROUNDS = 5
#: results of patients that no search asks for
ONE = [json.dumps(observation(10_000_000 + number)) for number in range(0, 2000, 40)]
TEN = [transaction([observation(10_000_000 + number) for number in range(0, 2000, 200)])]
READ = Workload("GET", "/fhir/Observation/o0", [], 1)
CREATE = Workload("POST", "/fhir/Observation", ONE, 8)


def report(measure, value, goal):
    print(f"  {measure:<58} {value:>9}   goal {goal}", flush=True)


def filled_database(database, number):
    """Return the database after storing so many results."""
    store = open_store(Config(open=True, database=str(database)))
    served.fill(store, number)
    store.close()
    return database


def main(options):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, baseline = (
            served.ours(folder, filled_database(folder / "a.db", options.stored)),
            served.bare(folder),
        )
        report("start, s from the command to the first answer", f"{ours.took:.2f}", "<= 1")
        report("memory idle, MB", f"{ours.memory('VmRSS'):.0f}", "<= 150")
        of_ten = Workload("POST", "/fhir", TEN, 2)
        search = Workload("GET", SEARCH, [], 1)
        workloads = {
            "constant": (baseline, Workload("GET", "/constant", [], 1)),
            "read": (ours, READ),
            "accepted": (baseline, Workload("POST", "/accepted", ONE, 1)),
            "$validate": (ours, Workload("POST", "/fhir/Observation/$validate", ONE, 1)),
            "insert": (baseline, Workload("POST", "/insert", ONE, 8)),
            "create": (ours, CREATE),
            "transaction of 10": (ours, of_ten),
            "search": (ours, search),
        }
        peer = peer_server(folder, options)
        if peer is not None:
            workloads["sekmet transaction"] = (peer, of_ten)
            workloads["sekmet search"] = (peer, search)
        best = best_rates(workloads)
        goals = [
            ("read", "constant", 0.8),
            ("create", "insert", 0.8),
            ("$validate", "accepted", 0.5),
        ]
        if peer is not None:
            goals += [
                ("transaction of 10", "sekmet transaction", 3),
                ("search", "sekmet search", 5),
            ]
        for what, beside, goal in goals:
            report(f"{what} / {beside}", f"{best[what] / best[beside]:.2f}", f">= {goal}")
        measure_latency(ours)
        for server in filter(None, (ours, baseline, peer)):
            server.stop()
        measure_export(folder, options.exported)
        if options.postgres:
            measure_postgres(folder, options)


def measure_postgres(folder, options):
    """Measure two processes on a PostgreSQL database."""
    there = served.ours(folder, filled_database(options.postgres, options.stored), 2)
    workloads = {
        "read": READ._replace(clients=8),
        "create": CREATE,
        "transaction of 10": Workload("POST", "/fhir", TEN, 8),
        "search": Workload("GET", SEARCH, [], 8),
    }
    print("over PostgreSQL, two processes, eight clients (of the processor: the parent's alone)")
    best_rates({name: (there, workload) for name, workload in workloads.items()})
    there.stop()


def peer_server(folder, options):
    """Return sekmet-fhir with the same results; None if not requested or not installable."""
    if options.peer is None:
        return None
    try:
        peer = served.peer(folder, options.peer)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"  sekmet-fhir is left out, for it cannot be started ours: {error}")
        return None
    resources = list(served.stored(options.stored))
    for start in range(0, len(resources), 100):
        request(peer.port, "POST", "/fhir", transaction(resources[start : start + 100]))
    return peer


def best_rates(workloads):
    """Return the requests a second of the best rounds; print them with the least processor time."""
    best = dict.fromkeys(workloads, 0.0)
    cost = dict.fromkeys(workloads, float("inf"))
    for _ in range(ROUNDS + 1):  # the first warms up
        for what, (server, workload) in workloads.items():
            before = server.cpu()
            measured = rate(server.port, workload)
            best[what] = max(best[what], measured)
            cost[what] = min(cost[what], (server.cpu() - before) / (measured * SECONDS))
    for what, measured in best.items():
        print(f"  {what:<20} {measured:>8,.0f} a second, {cost[what] * 1e6:>8,.0f} us of processor")
    return best


def measure_latency(ours):
    """Measure reads of one client while eight clients of another process write."""
    with ProcessPoolExecutor(1) as pool:
        writing = pool.submit(rate, ours.port, CREATE, 6)
        time.sleep(0.5)
        (took,) = latencies(ours.port, READ, 5)
        written = writing.result()
    took.sort()
    worst = took[len(took) * 99 // 100] * 1000
    report(f"read while 8 write {written:,.0f} a second, ms at p99", f"{worst:.1f}", "<= 50")


def measure_export(folder, number):
    """Measure an export of all resources, from the request to the last byte received."""
    ours = served.ours(folder, filled_database(folder / "b.db", number))
    begun = time.perf_counter()
    headers, _ = request(ours.port, "GET", "/fhir/$export", Prefer="respond-async")
    place = headers["Content-Location"].partition("/fhir/")[2]
    while not (manifest := request(ours.port, "GET", f"/fhir/{place}")[1]):
        time.sleep(0.01)
    lines = 0
    for output in json.loads(manifest)["output"]:
        path = output["url"].partition("/fhir/")[2]
        lines += request(ours.port, "GET", f"/fhir/{path}")[1].count(b"\n")
    took = time.perf_counter() - begun
    what = f"$export of {lines:,} with its files, resources a second"
    report(what, f"{lines / took:,.0f}", ">= 20,000")
    report("memory of the server at most, MB", f"{ours.memory('VmHWM'):.0f}", "<= 150")
    ours.stop()


def measure_growth(sizes):
    """Measure a search of 20 of 100 matches with more and more resources stored."""
    took = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            begun = time.perf_counter()
            store = open_store(
                Config(open=True, database=filled_database(Path(name, "a.db"), size))
            )
            filled = time.perf_counter() - begun
            pairs = [("patient", "p1"), ("code", "t2"), ("_count", "20")]
            query = parse_query("Observation", pairs, strict=True, base="")
            work = partial(store.search, query, FullAccess())
            took[size] = min(timeit.repeat(work, number=10, repeat=40)) / 10
            print(f"  {size:>8} stored in {filled:,.1f} s: search {took[size] * 1e3:.2f} ms")
            store.close()
    ratio = took[sizes[-1]] / took[sizes[0]]
    report("search of the last to that of the first", f"{ratio:.2f}", "<= 3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=2000)
    parser.add_argument("--exported", type=int, default=50_000)
    parser.add_argument("--peer", metavar="VENV", help="made if it is not there")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to be measured too")
    parser.add_argument("--growth", nargs="*", type=int, metavar="SIZE")
    options = parser.parse_args()
    if options.growth is None:
        main(options)
    else:
        measure_growth(options.growth or [10_000, 100_000])
