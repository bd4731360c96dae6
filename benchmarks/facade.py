"""What the server's answers cost, in one run, client and server on the same cores.

    python -m benchmarks.facade [--stored 2000] [--growth]

Ratios: reading and `$validate` to a Flask view that answers a constant of the same size through the
same server; creates to a bare loop of durable inserts that are made durable together, likewise.
Rounds take turns.
"""

import argparse
import http.client
import io
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from flask import Flask, request

from fhir_b12.server import observed, serve
from fhir_b12.server.app import create_app
from fhir_b12.server.config import Config
from fhir_b12.server.search import sql
from fhir_b12.server.search.query import parse
from fhir_b12.server.store import Change, Everything
from fhir_b12.server.store.sqlite import opened

ROUNDS, SECONDS, CLIENTS = 5, 0.6, 8
JSON = {"Content-Type": "application/fhir+json"}


def observation(number, patient):
    """A result of about 1 kB."""
    return {
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "laboratory"}]}],
        "code": {"coding": [{"system": "urn:tests", "code": f"t{number % 20}", "display": "A test"}], "text": "A test"},
        "subject": {"reference": f"Patient/p{patient}"},
        "effectiveDateTime": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T09:15:00+01:00",
        "valueQuantity": {"value": number % 400 + 0.5, "unit": "pg/mL", "system": "http://unitsofmeasure.org", "code": "pg/mL"},
        "note": [{"text": "x" * 400}],
    }  # fmt: skip


def listening(app, folder):
    config = Config(open=True, port=0, database=str(folder))
    server = serve.listening(app, config)
    threading.Thread(target=serve.Stop(server, 1).loop, daemon=True).start()
    return server.effective_port


def bare(body, database):
    """A view that answers a constant, and one that inserts durably, what waits together."""
    app = Flask("bare")
    path = str(database)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, body BLOB)")
    waiting, ready = [], threading.Condition()

    def write():
        while True:
            with ready:
                ready.wait_for(lambda: waiting)
                batch, waiting[:] = waiting[:], []
            connection.execute("BEGIN")
            for text, _ in batch:
                connection.execute("INSERT INTO kept (body) VALUES (?)", (text,))
            connection.execute("COMMIT")
            for _, done in batch:
                done.set()

    threading.Thread(target=write, daemon=True).start()

    @app.get("/constant")
    def constant():
        return body, 200, JSON

    @app.post("/validated")
    def validated():
        request.get_data()
        return body, 200, JSON

    @app.post("/insert")
    def insert():
        done = threading.Event()
        with ready:
            waiting.append((request.get_data(), done))
            ready.notify()
        done.wait()
        return body, 201, JSON

    return app


def rate(port, method, path, bodies, clients):
    """Answers a second to so many clients that keep their connections."""
    counts = [0] * clients
    end = time.perf_counter() + SECONDS

    def work(index):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            body = bodies[counts[index] % len(bodies)] if bodies else None
            connection.request(method, path, body, JSON)
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {200, 201}, answer.status
            counts[index] += 1
        connection.close()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(clients)]
    begun = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(counts) / (time.perf_counter() - begun)


def main(stored):
    observed.set_up(io.StringIO())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = Config(open=True, database=str(folder / "facade.db"))
        store = opened(config)
        fill(store, stored)
        body = store.read("Observation", "o0", Everything()).body
        port = listening(create_app(config, store), folder / "unused")
        other = listening(bare(body, folder / "bare.db"), folder / "unused")
        one = [json.dumps(observation(number, number % 100)) for number in range(50)]
        ten = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"resource": observation(number, 1), "request": {"method": "POST", "url": "Observation"}}
            for number in range(10)
        ]})  # fmt: skip
        tried = {
            "constant": (other, "GET", "/constant", None, 1),
            "read": (port, "GET", "/fhir/Observation/o0", None, 1),
            "accepted": (other, "POST", "/validated", one, 1),
            "$validate": (port, "POST", "/fhir/Observation/$validate", one, 1),
            "insert": (other, "POST", "/insert", one, CLIENTS),
            "create": (port, "POST", "/fhir/Observation", one, CLIENTS),
            "transaction of 10": (port, "POST", "/fhir", [ten], 2),
            "search": (port, "GET", "/fhir/Observation?patient=p1&code=t1&_count=20", None, 1),
        }
        best = dict.fromkeys(tried, 0.0)
        for _ in range(ROUNDS):
            for what, asked in tried.items():
                best[what] = max(best[what], rate(*asked))
        print(f"{stored} Observations of {len(body)} bytes stored; answers a second")
        for what, per_second in best.items():
            print(f"  {what:<20} {per_second:8.0f}")
        for what, beside, goal in (
            ("read", "constant", 0.8), ("create", "insert", 0.8), ("$validate", "accepted", 0.5),
        ):  # fmt: skip
            print(f"  {what} / {beside:<12} {best[what] / best[beside]:8.2f}   goal {goal}")
        print(
            f"  memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB, client included"
        )
        store.close()
    started()


def fill(store, number):
    """Twenty results for each of a hundred patients, or a hundred for each of as many as it takes."""
    changes, patients, each = [], max(100, number // 100), max(20, min(100, number // 100))
    changes += [
        Change(method="PUT", type="Patient", id=f"p{index}", resource={"resourceType": "Patient"})
        for index in range(patients)
    ]
    for index in range(number):
        resource_ = observation(index, index // each)
        changes.append(Change(method="PUT", type="Observation", id=f"o{index}", resource=resource_))
        if len(changes) >= 500:
            store.apply(changes, Everything(), now=index)
            changes = []
    store.apply(changes, Everything(), now=number)


def started():
    """From the command to the first answer."""
    with tempfile.TemporaryDirectory() as name:
        command = [
            sys.executable,
            "-m",
            "fhir_b12",
            "serve",
            "--open",
            "--port",
            "0",
            "--database",
            f"{name}/a.db",
        ]
        begun = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if "port" in line:
                break
        took = time.perf_counter() - begun
        memory = next(
            line
            for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
            if "VmRSS" in line
        )
        print(
            f"  start {took:.2f} s, goal 1; memory idle {int(memory.split()[1]) // 1024} MB, goal 150"
        )
        process.terminate()
        process.wait()


def growth(sizes):
    """A search of 20 of 100 hits, and an export, as more is stored."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            store = opened(Config(open=True, database=f"{name}/a.db"))
            begun = time.perf_counter()
            fill(store, size)
            filled = time.perf_counter() - begun
            query = parse(
                "Observation",
                [("patient", "p1"), ("code", "t1"), ("_count", "20")],
                strict=True,
                base="",
            )
            connection = store._reader()
            best = min(timed(lambda: sql.run(connection, query, Everything())) for _ in range(200))  # noqa: B023
            begun = time.perf_counter()
            count = sum(
                1 for _ in store.scan(["Observation"], since=None, access=Everything(), limits=())
            )
            scanned = count / (time.perf_counter() - begun)
            print(
                f"  {size:>8} stored in {filled:6.1f} s: search {best * 1e3:.2f} ms,"
                f" scan {scanned:,.0f} a second"
            )
            store.close()


def timed(work):
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, default=2000)
    parser.add_argument("--growth", nargs="*", type=int, help="sizes")
    asked = parser.parse_args()
    if asked.growth is not None:
        growth(asked.growth or [10_000, 100_000])
    else:
        main(asked.stored)
