"""Invalid input, wrong usage, broken pipes: exit code and message, no traceback and no value."""

import bz2
import gzip
import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_b12 import cli
from fhir_b12.cli import mapping
from fhir_b12.jsonio import dumps, loads
from fhir_b12.mapping import table as tables
from tests.cli.shell import call, observation, rows
from tests.conftest import examples

INPUT_COMMANDS = ("to-fhir", "from-fhir", "explain", "ledger")


HOSTILE = {
    "a NUL": b"\x00",
    "no UTF-8": b'{"resourceType":"\xff\xfe"}',
    "a BOM": b"\xef\xbb\xbf{}",
    "half an object": b'{"resourceType":"Patient"',
    "a key twice": b'{"resourceType":"Patient","id":"a","id":"b"}',
    "no number": b'{"resourceType":"Patient","x":NaN}',
    "depth": b"[" * 100_000,
    "half a surrogate pair": b'{"resourceType":"Patient","id":"\\ud800"}',
    "a broken gzip": gzip.compress(b"{}" * 1000)[:-9],
    "a broken bzip2": bz2.compress(b"{}" * 1000)[:-9],
    "a number": b"7",
    "null": b"null",
}  # fmt: skip


@pytest.mark.parametrize("command", INPUT_COMMANDS)
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_invalid_input_is_reported_as_issues(command, content, tmp_path):
    for name in ("hostile.json", "hostile.ndjson"):
        path = tmp_path / name
        path.write_bytes(content)
        code, _, err = call(command, str(path))
        assert code == 1
        assert [
            line for line in err.splitlines() if not line.startswith(("fatal ", "error "))
        ] == []


@pytest.mark.parametrize("command", INPUT_COMMANDS)
def test_empty_input_is_invalid_json_and_valid_ndjson(command):
    assert call(command, "-")[0] == 1
    assert call(command, "-", "--format", "ndjson")[::2] == (0, "")


def test_the_demo_reports_invalid_input_as_issues(tmp_path):
    path = tmp_path / "hostile.json"
    path.write_bytes(HOSTILE["half an object"])
    code, _, err = call("demo", str(path))
    assert code == 1
    assert err.startswith("fatal structure Patient.resourceType (1:26): ")


def test_an_empty_record_becomes_an_empty_bundle():
    written = loads(call("to-fhir", "-", stdin=b"{}")[1])
    assert written == {"resourceType": "Bundle", "type": "transaction"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["coding", "code", "value", "reference", "x"]), inner)
    ),
    max_leaves=8,
)
TYPES = st.sampled_from([tables.load(name).resource for name in tables.ORDER] + ["Claim", ""])
ELEMENTS = st.sampled_from(
    ["status", "code", "category", "subject", "identifier", "contained", "dosage", "valueQuantity"]
)


@settings(examples(50), suppress_health_check=list(HealthCheck))
@given(TYPES, st.dictionaries(ELEMENTS, JSON), st.sampled_from(INPUT_COMMANDS))
def test_no_content_of_a_resource_makes_a_command_fail(resource_type, fields, command):
    content = json.dumps({"resourceType": resource_type, **fields}).encode()
    code, _, err = call(command, "-", stdin=content)
    assert code in {0, 1}
    assert "Traceback" not in err


def test_messages_contain_no_patient_values(demo_folder):
    secret = "Maja-Sørensen"
    wrong = observation(
        status=[secret], code=secret, valueQuantity={"value": secret, "unit": [secret]}
    )
    wrong |= {"subject": secret, "effectiveDateTime": secret, "identifier": secret}
    patient = {"resourceType": "Patient", "birthDate": secret, "gender": [secret], "name": secret}
    for resource in (wrong, patient, {"resourceType": secret}, secret):
        for command in ("from-fhir", "explain", "ledger", "to-fhir"):
            code, _, err = call(command, "-", stdin=dumps(resource))
            assert code in {0, 1}
            assert secret not in err
    course = {"patient": {"birthDate": secret, "name": secret}, "labResults": [secret]}
    code, _, err = call("to-fhir", "-", stdin=dumps(course))
    assert code == 1
    assert secret not in err


def test_control_characters_of_the_data_are_escaped():
    resource = observation(**{"\x1b[2J\n": "x"})
    out = call("explain", "-", stdin=dumps(resource))[1]
    assert rows(out)[-1][0] == r"\x1b[2J\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("from-fhir", "absent.json"),
        ("from-fhir", "absent.ndjson"),
        ("from-fhir", "."),
        ("to-fhir", "course.json", "--output", "."),
        ("to-fhir", "course.json", "--output", "absent/bundle.json"),
        ("to-fhir", "course.json", "--format", "ndjson", "--type", "list"),
        ("to-fhir", "course.json", "--format", "ndjson", "--output", "course.json"),
        ("from-fhir", "resources.ndjson", "--format", "json"),
        ("from-fhir", "bundle.json", "--max-bytes", "0"),
        ("update", "-", "-"),
        ("mappings", "potions"),
        ("codes", "--table", "potions"),
        ("codes", "--code", "no-system"),
        ("convert", "1"),
        ("brew",),
        (),
    ],
)
def test_a_command_that_cannot_be_carried_out_exits_with_2(demo_folder, arguments):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert "fhir-b12" in err


def test_a_text_longer_than_max_bytes_is_rejected(demo_folder):
    code, out, err = call("from-fhir", "bundle.json", "--max-bytes", "1000")
    assert (code, out) == (1, "")
    assert err.startswith("fatal too-long $this (1:1): ")
    code, out, err = call("from-fhir", "resources.ndjson", "--max-bytes", "400")
    assert code == 1
    assert out
    assert {line.split()[1] for line in err.splitlines()} == {"too-long"}


def test_a_huge_max_bytes_allocates_no_memory(demo_folder):
    assert call("from-fhir", "bundle.json", "--max-bytes", str(10**30))[0] == 0
    assert call("from-fhir", "resources.ndjson", "--max-bytes", str(10**30))[0] == 0


def test_a_defect_is_reported_without_traceback_or_value(demo_folder, monkeypatch):
    def fail(_):
        raise KeyError("Maja")

    monkeypatch.setattr(mapping, "from_bundle", fail)
    code, out, err = call("from-fhir", "bundle.json")
    assert (code, out) == (3, "")
    assert err.startswith("fhir-b12: KeyError at test_error_handling.py:")
    assert "Maja" not in err


def test_a_closed_standard_output_exits_with_2(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["schema"]) == 2


def test_an_interrupt_exits_with_130_and_no_message(demo_folder, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(mapping, "from_bundle", interrupt)
    assert call("from-fhir", "bundle.json") == (130, "", "")


def test_a_closed_pipe_exits_with_141_and_no_message(demo_folder):
    command = [sys.executable, "-m", "fhir_b12", "explain", "bundle.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"path\t")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
