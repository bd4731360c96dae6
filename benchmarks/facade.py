"""What the server's answers cost, in one run, clients and servers on the same cores.

    python -m benchmarks.facade [--stored 2000] [--exported 50000] [--peer VENV] [--postgres URL]
                                [--growth SIZE ...]

Each server is a process of its own. Ratios: reading and `$validate` to a Flask view that answers a
constant of the same size through the same server; creates to a bare loop of inserts that are made
durable together, likewise; transactions and searches to sekmet-fhir, if `--peer` names a virtual
environment for it. Rounds take turns, the best counts.
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
from benchmarks.served import SEARCH, SECONDS, Question, ask, observation, rate, transaction, waits
from fhir_b12.server.config import Config
from fhir_b12.server.open_store import open_store
from fhir_b12.server.search.query_parser import parse_query
from fhir_b12.server.store import FullAccess

ROUNDS = 5
#: of patients about whom nothing is asked
ONE = [json.dumps(observation(10_000_000 + number)) for number in range(0, 2000, 40)]
TEN = [transaction([observation(10_000_000 + number) for number in range(0, 2000, 200)])]
READ = Question("GET", "/fhir/Observation/o0", [], 1)
CREATE = Question("POST", "/fhir/Observation", ONE, 8)


def told(what, value, goal):
    print(f"  {what:<58} {value:>9}   goal {goal}", flush=True)


def kept(database, number):
    """A database with so many results."""
    store = open_store(Config(open=True, database=str(database)))
    served.fill(store, number)
    store.close()
    return database


def main(asked):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here, other = served.ours(folder, kept(folder / "a.db", asked.stored)), served.bare(folder)
        told("start, s from the command to the first answer", f"{here.took:.2f}", "<= 1")
        told("memory idle, MB", f"{here.memory('VmRSS'):.0f}", "<= 150")
        of_ten = Question("POST", "/fhir", TEN, 2)
        search = Question("GET", SEARCH, [], 1)
        asked_of = {
            "constant": (other, Question("GET", "/constant", [], 1)),
            "read": (here, READ),
            "accepted": (other, Question("POST", "/accepted", ONE, 1)),
            "$validate": (here, Question("POST", "/fhir/Observation/$validate", ONE, 1)),
            "insert": (other, Question("POST", "/insert", ONE, 8)),
            "create": (here, CREATE),
            "transaction of 10": (here, of_ten),
            "search": (here, search),
        }
        third = another(folder, asked)
        if third is not None:
            asked_of["sekmet transaction"] = (third, of_ten)
            asked_of["sekmet search"] = (third, search)
        best = rates(asked_of)
        goals = [
            ("read", "constant", 0.8),
            ("create", "insert", 0.8),
            ("$validate", "accepted", 0.5),
        ]
        if third is not None:
            goals += [
                ("transaction of 10", "sekmet transaction", 3),
                ("search", "sekmet search", 5),
            ]
        for what, beside, goal in goals:
            told(f"{what} / {beside}", f"{best[what] / best[beside]:.2f}", f">= {goal}")
        latency(here)
        for each in filter(None, (here, other, third)):
            each.stop()
        exported(folder, asked.exported)
        if asked.postgres:
            over_postgres(folder, asked)


def over_postgres(folder, asked):
    """The same questions to two processes on a PostgreSQL database."""
    there = served.ours(folder, kept(asked.postgres, asked.stored), 2)
    questions = {
        "read": READ._replace(clients=8),
        "create": CREATE,
        "transaction of 10": Question("POST", "/fhir", TEN, 8),
        "search": Question("GET", SEARCH, [], 8),
    }
    print("over PostgreSQL, two processes, eight clients (of the processor: the parent's alone)")
    rates({what: (there, question) for what, question in questions.items()})
    there.stop()


def another(folder, asked):
    """The peer with the same results stored; None where it is not asked for or does not run."""
    if asked.peer is None:
        return None
    try:
        third = served.peer(folder, asked.peer)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"  sekmet-fhir is left out, for it cannot be started here: {error}")
        return None
    resources = list(served.stored(asked.stored))
    for start in range(0, len(resources), 100):
        ask(third.port, "POST", "/fhir", transaction(resources[start : start + 100]))
    return third


def rates(asked_of):
    """Answers a second in the best round of each, and what they cost the server in the cheapest."""
    best = dict.fromkeys(asked_of, 0.0)
    cost = dict.fromkeys(asked_of, float("inf"))
    for _ in range(ROUNDS + 1):  # the first warms up
        for what, (server, question) in asked_of.items():
            before = server.cpu()
            found = rate(server.port, question)
            best[what] = max(best[what], found)
            cost[what] = min(cost[what], (server.cpu() - before) / (found * SECONDS))
    for what, found in best.items():
        print(f"  {what:<20} {found:>8,.0f} a second, {cost[what] * 1e6:>8,.0f} us of processor")
    return best


def latency(here):
    """Reads by one while eight write; these are another process, so that clients do not wait."""
    with ProcessPoolExecutor(1) as pool:
        writing = pool.submit(rate, here.port, CREATE, 6)
        time.sleep(0.5)
        (took,) = waits(here.port, READ, 5)
        written = writing.result()
    took.sort()
    worst = took[len(took) * 99 // 100] * 1000
    told(f"read while 8 write {written:,.0f} a second, ms at p99", f"{worst:.1f}", "<= 50")


def exported(folder, number):
    """All resources as NDJSON, from the request to the last byte received."""
    here = served.ours(folder, kept(folder / "b.db", number))
    begun = time.perf_counter()
    headers, _ = ask(here.port, "GET", "/fhir/$export", Prefer="respond-async")
    place = headers["Content-Location"].partition("/fhir/")[2]
    while not (manifest := ask(here.port, "GET", f"/fhir/{place}")[1]):
        time.sleep(0.01)
    lines = 0
    for each in json.loads(manifest)["output"]:
        path = each["url"].partition("/fhir/")[2]
        lines += ask(here.port, "GET", f"/fhir/{path}")[1].count(b"\n")
    took = time.perf_counter() - begun
    what = f"$export of {lines:,} with its files, resources a second"
    told(what, f"{lines / took:,.0f}", ">= 20,000")
    told("memory of the server at most, MB", f"{here.memory('VmHWM'):.0f}", "<= 150")
    here.stop()


def growth(sizes):
    """A search of 20 of 100 hits as more is stored."""
    took = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            begun = time.perf_counter()
            store = open_store(Config(open=True, database=kept(Path(name, "a.db"), size)))
            filled = time.perf_counter() - begun
            pairs = [("patient", "p1"), ("code", "t2"), ("_count", "20")]
            query = parse_query("Observation", pairs, strict=True, base="")
            work = partial(store.search, query, FullAccess())
            took[size] = min(timeit.repeat(work, number=10, repeat=40)) / 10
            print(f"  {size:>8} stored in {filled:,.1f} s: search {took[size] * 1e3:.2f} ms")
            store.close()
    ratio = took[sizes[-1]] / took[sizes[0]]
    told("search of the last to that of the first", f"{ratio:.2f}", "<= 3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=2000)
    parser.add_argument("--exported", type=int, default=50_000)
    parser.add_argument("--peer", metavar="VENV", help="made if it is not there")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to be measured too")
    parser.add_argument("--growth", nargs="*", type=int, metavar="SIZE")
    asked = parser.parse_args()
    if asked.growth is None:
        main(asked)
    else:
        growth(asked.growth or [10_000, 100_000])
