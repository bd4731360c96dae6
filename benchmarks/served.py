"""Servers as processes, their clients, and the resources and requests of the benchmarks.

    python -m benchmarks.served PORT DATABASE

serves the baseline: a view that returns a constant, and one that inserts durably.
"""

import atexit
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path
from typing import NamedTuple

from flask import Flask
from flask import request as flask_request

from fhir_b12.server import serve
from fhir_b12.server.config import Config
from fhir_b12.server.store import Change, FullAccess

SECONDS = 0.6  #: of a round
JSON = {"Content-Type": "application/fhir+json"}
SEARCH = "/fhir/Observation?patient=p1&code=t2&_count=20"  #: 20 of 100 matches


def observation(number):
    """Return a result of about 1 kB; each patient has 100 of each of two of the twenty codes."""
    return {
        "resourceType": "Observation", "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                  "code": "laboratory"}]}],
        "code": {"coding": [{"system": "urn:tests", "code": f"t{number // 100 % 20}", "display": "A test"}],
                 "text": "A test"},
        "subject": {"reference": f"Patient/p{number // 200}"},
        "effectiveDateTime": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T09:15:00+01:00",
        "valueQuantity": {"value": number % 400 + 0.5, "unit": "pg/mL", "system": "http://unitsofmeasure.org",
                          "code": "pg/mL"},
        "note": [{"text": "x" * 400}],
    }  # fmt: skip


def stored(number):
    """Yield so many results with ids, each patient before its first result."""
    for index in range(number):
        if index % 200 == 0:
            yield {"resourceType": "Patient", "id": f"p{index // 200}"}
        yield observation(index) | {"id": f"o{index}"}


def transaction(resources):
    """Return the JSON of a transaction: updates of resources with an id, creates of the others."""
    entries = []
    for resource in resources:
        method, url = ("PUT", "/" + resource["id"]) if "id" in resource else ("POST", "")
        entries.append(
            {
                "resource": resource,
                "request": {"method": method, "url": resource["resourceType"] + url},
            }
        )
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def fill(store, number):
    """Store so many results."""
    changes = []
    for resource in stored(number):
        kind, name = resource["resourceType"], resource["id"]
        changes.append(Change(method="PUT", type=kind, id=name, resource=resource))
        if len(changes) == 500:
            store.apply(changes, FullAccess(), clock=lambda: 0)
            changes = []
    store.apply(changes, FullAccess(), clock=lambda: 0)


# --- clients


def request(port, method, path, body=None, **headers):
    """Return headers and body of a response, on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(method, path, body, JSON | headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status in {200, 201, 202}, (answer.status, text[:400])
    return answer.headers, text


class Workload(NamedTuple):
    """One request, repeated by several clients that keep their connections."""

    method: str
    path: str
    bodies: list[str]  #: sent in turn; empty for a GET
    clients: int


def rate(port, workload, seconds=SECONDS):
    """Return the responses a second."""
    return sum(map(len, latencies(port, workload, seconds))) / seconds


def latencies(port, workload, seconds):
    """Return the seconds that each response took, for each client."""
    method, path, bodies, clients = workload
    results = [[] for _ in range(clients)]
    end = time.perf_counter() + seconds

    def work(durations):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        now = time.perf_counter()
        while now < end:
            body = bodies[len(durations) % len(bodies)] if bodies else None
            connection.request(method, path, body, JSON)
            answer = connection.getresponse()
            answer.read()
            assert answer.status in {200, 201}, answer.status
            before, now = now, time.perf_counter()
            durations.append(now - before)
        connection.close()

    threads = [threading.Thread(target=work, args=(durations,)) for durations in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- servers


class Server:
    """A server process; `PORT` in its command is replaced by a free port."""

    def __init__(self, command, folder, path, cwd=None, **environ):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        given = [str(part).replace("PORT", str(self.port)) for part in command]
        self._log = Path(folder, f"{self.port}.log")
        begun = time.perf_counter()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                given, stdout=log, stderr=log, cwd=cwd, env=os.environ | environ
            )
        atexit.register(self.stop)
        while not self._responds(path):
            time.sleep(0.005)
        self.took = time.perf_counter() - begun  #: seconds from the command to the first response

    def _responds(self, path):
        if self.process.poll() is not None:
            raise OSError(self._log.read_text()[-2000:])
        try:
            request(self.port, "GET", path)
        except ConnectionError:
            return False
        return True

    def memory(self, what):
        """Return the memory of the process in MB: `VmRSS` now, `VmHWM` the maximum."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s*(\d+)", status)[1]) / 1024

    def cpu(self):
        """Return the processor time that the process has used, in seconds."""
        spent = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.terminate()
        self.process.wait()


def ours(folder, database, workers=1):
    """Start this server from the command line."""
    command = [sys.executable, "-m", "fhir_b12", "serve", "--open", "--port", "PORT"]
    command += ["--database", database, "--workers", workers]
    return Server(command, folder, "/healthz", FHIR_B12_EXPORT_FOLDER=str(folder))


def bare(folder):
    """Start the baseline."""
    command = [sys.executable, "-m", "benchmarks.served", "PORT", folder / "bare.db"]
    return Server(command, folder, "/constant")


def peer(folder, environment):
    """Start sekmet-fhir as its README does, from a virtual environment, created if missing."""
    environment = Path(environment).absolute()
    program = environment / "bin" / "sekmet"
    if not program.exists():
        venv.create(environment, with_pip=True)
        install = [
            environment / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-q",
            "sekmet-fhir==0.1.1",
        ]
        subprocess.run(install, check=True)
    settings = folder / "settings.yaml"
    settings.write_text("host: 127.0.0.1\n")
    command = [program, "serve", "--config", settings, "--port", "PORT"]
    return Server(command, folder, "/fhir/metadata", cwd=folder)


def application(database):
    """Return an application that returns a constant, or inserts durably, several per commit."""
    app = Flask("bare")
    body = json.dumps(observation(0) | {"id": "o0"})
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
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

    @app.post("/accepted")
    def accepted():
        flask_request.get_data()
        return body, 200, JSON

    @app.post("/insert")
    def insert():
        done = threading.Event()
        with ready:
            waiting.append((flask_request.get_data(), done))
            ready.notify()
        done.wait()
        return body, 201, JSON

    return app


if __name__ == "__main__":
    config = Config(open=True, port=int(sys.argv[1]))
    serve.serve_in_process(application(sys.argv[2]), config)
