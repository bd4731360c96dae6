"""Lazily built data can be used by several threads at once for the first time."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
from fhir_b12 import data, dumps, from_bundle, from_plain, loads, to_bundle, validate
course = loads(data.read(data.mappings(), "demo/course.json"))
barrier, results = threading.Barrier(6), [None] * 6
def work(index):
    barrier.wait()
    record, issues = from_plain(course)
    bundle = to_bundle(record)
    report = [str(issue) for issue in validate(bundle)]
    reading = from_bundle(bundle)
    results[index] = dumps(bundle), report, len(reading.records), [str(issue) for issue in reading.issues]
threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert None not in results
assert all(result == results[0] for result in results)
"""


@pytest.mark.parametrize(
    "repetition", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_several_threads_can_call_the_api_first_at_the_same_time(repetition):
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert (process.returncode, process.stderr) == (0, "")
