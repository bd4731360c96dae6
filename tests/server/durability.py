"""`python -m tests.server.durability [TIMES]`: the server is killed under load, again and again.

What it acknowledged must be there, digit for digit, and of a transaction all or nothing. Prints its
counts; ends with 1 if anything was lost or torn.
"""

import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WRITERS = 8


def serve(database, port=0):
    """A server process, and where it listens."""
    command = [
        sys.executable,
        "-m",
        "fhir_b12",
        "serve",
        "--open",
        "--database",
        str(database),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "port" in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, int(line.rsplit(" ", 1)[1])
    raise RuntimeError("it did not start")


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


def round_of(database, known, pairs):
    """One life of the server, ended by kill -9."""
    process, port = serve(database)
    stop = threading.Event()
    writers = [
        threading.Thread(target=write, args=(port, each, known, pairs, stop))
        for each in range(WRITERS)
    ]
    for each in writers:
        each.start()
    time.sleep(random.uniform(0.05, 0.5))
    process.kill()
    process.wait()
    stop.set()
    for each in writers:
        each.join()


def main(times):
    known, pairs = {}, set()
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "try.db"
        for _ in range(times):
            round_of(database, known, pairs)
        process, port = serve(database)
        kept, url = {}, "/fhir/Patient?_count=1000"
        while url:
            _, page = asked(port, "GET", url)
            for entry in page.get("entry", ()):
                kept[entry["resource"]["id"]] = entry["resource"]["name"][0]["text"]
            following = [each["url"] for each in page["link"] if each["relation"] == "next"]
            url = following[0].split("/fhir", 1)[1] if following else None
            url = url and f"/fhir{url}"
        process.terminate()
        process.wait()
    lost = [name for name, mark in known.items() if kept.get(name) != mark]
    counted = {}
    for mark in kept.values():
        counted[mark] = counted.get(mark, 0) + 1
    torn = [mark for mark in pairs if counted.get(mark, 0) not in {0, 2}]
    print(
        f"killed {times} times: {len(known)} creates acknowledged, {len(lost)} lost;"
        f" {len(pairs)} transactions sent, {len(torn)} torn; {len(kept)} resources kept"
    )
    return not (lost or torn)


if __name__ == "__main__":
    sys.exit(not main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
