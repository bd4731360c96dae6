"""`python -m tests.server.durability [--kills N] [--restarts N] [--workers N]`: ended under load, again and again.

The server is killed; or its PostgreSQL is restarted without warning while it serves. What was
acknowledged must be there, digit for digit, and of a transaction all or nothing. Prints its counts;
ends with 1 if anything was lost or torn. Several workers need PostgreSQL: with `python -m
tests.server.cluster` before it, or a cluster of its own if it is to be restarted.
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
    """A server process that answers, and where it listens."""
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
            until_ready(port)
            return process, port
    raise RuntimeError("it did not start")


def until_ready(port):
    for _ in range(600):
        with suppress(OSError, http.client.HTTPException, ValueError):
            if asked(port, "GET", "/readyz")[0] == 200:
                return
        time.sleep(0.05)
    raise RuntimeError("it is not ready")


def kill(process):
    """With all of its workers, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def asked(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": "application/fhir+json"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def write(port, writer, known, pairs, stop):
    """Creates and transactions of two, as long as there is an answer; what was acknowledged is noted."""
    number = 0
    while not stop.is_set():
        number += 1
        mark = f"{writer}-{number}-{random.random()}"
        resource = {"resourceType": "Patient", "name": [{"text": mark}]}
        try:
            if number % 3:
                status, made = asked(port, "POST", "/fhir/Patient", resource)
                if status == 201:
                    known[made["id"]] = mark
            else:
                entry = [
                    {"resource": resource, "request": {"method": "POST", "url": "Patient"}}
                ] * 2
                bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry}
                pairs.add(mark)
                asked(port, "POST", "/fhir", bundle)
        except (OSError, http.client.HTTPException, ValueError):
            return


class Load:
    """Writers at a server, for as long as a `with` lasts; what they were told is kept."""

    def __init__(self, known, pairs):
        self._known, self._pairs = known, pairs

    def at(self, port):
        self._stop = threading.Event()
        self._writers = [
            threading.Thread(target=write, args=(port, each, self._known, self._pairs, self._stop))
            for each in range(WRITERS)
        ]
        return self

    def __enter__(self):
        for each in self._writers:
            each.start()

    def __exit__(self, *_):
        self._stop.set()
        for each in self._writers:
            each.join()


def kills(times, workers, database, load):
    """So many lives of the server, each ended by kill -9."""
    for _ in range(times):
        process, port = serve(database, workers=workers)
        with load.at(port):
            time.sleep(random.uniform(0.05, 0.5))
            kill(process)


def restarts(times, workers, cluster, load):
    """One life of the server, and so many of its database, each ended without warning."""
    process, port = serve(cluster.url, workers=workers)
    for _ in range(times):
        with load.at(port):
            time.sleep(random.uniform(0.1, 0.6))
            cluster.control("restart", "-m", "immediate")
            until_ready(port)
            time.sleep(0.2)
    kill(process)


def judge(what, database, known, pairs):
    """Whether all that was acknowledged is there, and no half of a transaction."""
    process, port = serve(database)
    kept, url = {}, "/fhir/Patient?_count=1000"
    while url:
        _, page = asked(port, "GET", url)
        for entry in page.get("entry", ()):
            kept[entry["resource"]["id"]] = entry["resource"]["name"][0]["text"]
        following = [each["url"] for each in page["link"] if each["relation"] == "next"]
        url = following[0].split("/fhir", 1)[1] if following else None
        url = url and f"/fhir{url}"
    kill(process)
    lost = [name for name, mark in known.items() if kept.get(name) != mark]
    counted = {}
    for mark in kept.values():
        counted[mark] = counted.get(mark, 0) + 1
    torn = [mark for mark in pairs if counted.get(mark, 0) not in {0, 2}]
    print(
        f"{what}: {len(known)} creates acknowledged, {len(lost)} lost;"
        f" {len(pairs)} transactions sent, {len(torn)} torn; {len(kept)} resources kept"
    )
    return bool(known) and not (lost or torn)


def killed(times, workers=1):
    known, pairs = {}, set()
    with tempfile.TemporaryDirectory() as folder:
        database = temporary.database(folder)
        kills(times, workers, database, Load(known, pairs))
        return judge(f"killed {times} times", database, known, pairs)


def restarted(times, workers=4):
    known, pairs = {}, set()
    with Cluster() as cluster:
        restarts(times, workers, cluster, Load(known, pairs))
        return judge(f"its PostgreSQL restarted {times} times", cluster.url, known, pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("kills", "restarts"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    right = [killed(given.kills, given.workers)] if given.kills else []
    right += [restarted(given.restarts, given.workers)] if given.restarts else []
    return all(right)


if __name__ == "__main__":
    sys.exit(not main())
