"""What is made when it is first asked for may be asked for by several threads at once."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
sys.setswitchinterval(1e-6)
from fhir_b12 import data, dumps, from_bundle, from_plain, loads, to_bundle, validate
course = loads(data.read(data.mappings(), "demo/course.json"))
barrier, told = threading.Barrier(6), [None] * 6
def work(index):
    barrier.wait()
    record, issues = from_plain(course)
    bundle = to_bundle(record)
    report = [str(each) for each in validate(bundle)]
    reading = from_bundle(bundle)
    told[index] = dumps(bundle), report, len(reading.records), [str(each) for each in reading.issues]
threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
for each in threads: each.start()
for each in threads: each.join()
assert None not in told
assert all(each == told[0] for each in told)
"""


@pytest.mark.parametrize("time", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_several_threads_may_be_the_first(time):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
