"""`python -m tests.server.durability [--kills N] [--restarts N] [--workers N]`: durability under load.

The server is killed, or its PostgreSQL is restarted without a clean shutdown, while clients write.
Every acknowledged create must be stored unchanged, and every transaction completely or not at all.
Prints the counts; exits with 1 if anything is lost or partial. Several workers need PostgreSQL:
prefix the command with `python -m tests.server.cluster`; restarts start a cluster of their own.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress

from tests.server import temporary
from tests.server.cluster import Cluster

WRITERS = 8


def serve(database, port=0, workers=1, *, is_open=True, local="own.db"):
    """Start a server process; return it and its port once it is ready."""
    command = [sys.executable, "-m", "fhir_b12", "serve", "--database", str(database),
               "--port", str(port), "--workers", str(workers), *["--open"] * is_open]  # fmt: skip
    environ = os.environ | {"FHIR_B12_LOCAL": str(local)}
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environ
    )
    for line in process.stderr:
        if " on 127.0.0.1 port " in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            port = int(line.rsplit(" ", 1)[1])
            wait_until_ready(port)
            return process, port
    raise RuntimeError("the server did not start")


def wait_until_ready(port):
    for _ in range(600):
        with suppress(OSError, http.client.HTTPException, ValueError):
            if request(port, "GET", "/readyz")[0] == 200:
                return
        time.sleep(0.05)
    raise RuntimeError("the server is not ready after 30 seconds")


def kill(process):
    """Kill a server with all its workers."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def request(port, method, path, body=None):
    """Return status and JSON of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": "application/fhir+json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null")
    finally:
        connection.close()


def write(port, writer, acknowledged, pairs, stop):
    """Send creates and transactions of two resources until stopped or disconnected.

    Args:
        port: the port of the server.
        writer: the number of the writer.
        acknowledged: the mark of each acknowledged create by id.
        pairs: the marks of the transactions sent.
        stop: the event that ends the loop.

    """
    number = 0
    while not stop.is_set():
        number += 1
        mark = f"{writer}-{number}-{random.random()}"
        resource = {"resourceType": "Patient", "name": [{"text": mark}]}
        try:
            if number % 3:
                status, created = request(port, "POST", "/fhir/Patient", resource)
                if status == 201:
                    acknowledged[created["id"]] = mark
            else:
                entry = [
                    {"resource": resource, "request": {"method": "POST", "url": "Patient"}}
                ] * 2
                bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
                pairs.add(mark)
                request(port, "POST", "/fhir", bundle)
        except (OSError, http.client.HTTPException, ValueError):
            return


class Load:
    """Concurrent writers inside a `with` statement; records what was sent and acknowledged."""

    def __init__(self):
        self.acknowledged, self.pairs = {}, set()

    def at(self, port):
        self._stop = threading.Event()
        self._writers = [
            threading.Thread(
                target=write, args=(port, number, self.acknowledged, self.pairs, self._stop)
            )
            for number in range(WRITERS)
        ]
        return self

    def __enter__(self):
        for writer in self._writers:
            writer.start()

    def __exit__(self, *_):
        self._stop.set()
        for writer in self._writers:
            writer.join()


def kill_repeatedly(times, workers, database, load):
    """Start a server and kill it under load, several times."""
    for _ in range(times):
        process, port = serve(database, workers=workers)
        with load.at(port):
            time.sleep(random.uniform(0.05, 0.5))
            kill(process)


def restart_repeatedly(times, workers, cluster, load):
    """Restart the database of one server under load, several times."""
    process, port = serve(cluster.url, workers=workers)
    for _ in range(times):
        with load.at(port):
            time.sleep(random.uniform(0.1, 0.6))
            cluster.control("restart", "-m", "immediate")
            wait_until_ready(port)
            time.sleep(0.2)
    kill(process)


def stored_marks(database):
    """Return the marks of all stored patients by id."""
    process, port = serve(database)
    marks, url = {}, "/fhir/Patient?_count=1000"
    while url:
        _, page = request(port, "GET", url)
        for entry in page.get("entry", ()):
            marks[entry["resource"]["id"]] = entry["resource"]["name"][0]["text"]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        url = f"/fhir{following[0].split('/fhir', 1)[1]}" if following else None
    kill(process)
    return marks


def is_complete(event, database, load):
    """Return True if every acknowledged create is stored, and no transaction in part."""
    stored = stored_marks(database)
    lost = [name for name, mark in load.acknowledged.items() if stored.get(name) != mark]
    counts = {}
    for mark in stored.values():
        counts[mark] = counts.get(mark, 0) + 1
    partial = [mark for mark in load.pairs if counts.get(mark, 0) not in {0, 2}]
    print(
        f"{event}: {len(load.acknowledged)} creates acknowledged, {len(lost)} lost;"
        f" {len(load.pairs)} transactions sent, {len(partial)} partial; {len(stored)} stored"
    )
    return bool(load.acknowledged) and not (lost or partial)


def survives_kills(times, workers=1):
    load = Load()
    with tempfile.TemporaryDirectory() as folder:
        database = temporary.database(folder)
        kill_repeatedly(times, workers, database, load)
        return is_complete(f"killed {times} times", database, load)


def survives_restarts(times, workers=4):
    load = Load()
    with Cluster() as cluster:
        restart_repeatedly(times, workers, cluster, load)
        return is_complete(f"PostgreSQL restarted {times} times", cluster.url, load)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("kills", "restarts"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    results = [survives_kills(options.kills, options.workers)] if options.kills else []
    results += [survives_restarts(options.restarts, options.workers)] if options.restarts else []
    return all(results)


if __name__ == "__main__":
    sys.exit(not main())
