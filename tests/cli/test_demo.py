"""The demo and the help: what people see first."""

import shlex
from pathlib import Path

import pytest

from fhir_b12 import cli, records
from fhir_b12.cli import demo, mapping
from fhir_b12.jsonio import dumps
from tests.cli.shell import call, observation

COMMANDS = cli.parser()._subparsers._group_actions[0].choices
SERVING = ("serve", "clients", "reindex", "backup", "restore")  #: see tests/cli/test_server.py
EXAMPLES = [
    line.strip()
    for name, command in COMMANDS.items()
    for line in command.epilog.splitlines()
    if line.startswith("  fhir-b12 ") and name not in SERVING
]


def test_the_demo_proves_what_it_claims_and_fits_on_a_screen(inside):
    code, out, err = call("demo")
    assert (code, err) == (0, "")
    claims = [line.split("  ")[1] for line in out.splitlines() if "  yes" in line]
    assert claims == [
        "read back, the record is identical",
        "sent twice, nothing is made twice",
        "every leaf is accounted for once",
        "valid FHIR R4, and by our profiles",
        "read back, digit for digit",
        "reads require an access token",
        "the clinic sends one transaction",
        "search converts units",
        "the hospital reads the same record",
        "the hospital cannot write",
        "bulk export has every resource",
        "every access is audited",
    ]
    assert "180.00" in out
    assert "A Bundle nobody here wrote: none is at hand" in out
    assert len(out.splitlines()) <= 54
    kinds = {record.__name__ for record in records.RECORDS}
    assert kinds <= {line.split()[1] for line in out.splitlines() if line[:5].strip().isdigit()}


def test_without_the_server_the_demo_says_how_to_get_it(inside, monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    code, out, _ = call("demo")
    assert (code, "pip install 'fhir-b12[server]'" in out, "NO" in out) == (0, True, False)


def test_the_demo_takes_a_bundle_of_ones_own(inside):
    claim = {"resourceType": "Claim", "status": "active"}
    patient = {"resourceType": "Patient", "id": "p", "gender": "male"}
    entries = [{"resource": each} for each in (patient, claim, observation())]
    Path("other.json").write_bytes(dumps({"resourceType": "Bundle", "entry": entries}))
    code, out, err = call("demo", "other.json")
    assert (code, err) == (0, "")
    told = out.partition("A Bundle nobody here wrote: ")[2].splitlines()
    assert told[0] == "other.json"
    assert told[1] == "  read     1 Patient, 1 LabResult"
    assert told[2] == "  left     1 Claim: no table reads these"
    assert "changed entry[0].resource.gender, nothing else" in out


def test_the_demo_fails_where_a_proof_fails(inside, monkeypatch):
    monkeypatch.setattr(mapping, "updated", lambda bundle, _: {**bundle, "id": "other"})
    code, out, _ = call("demo", "bundle.json")
    assert code == 1
    assert [line for line in out.splitlines() if "  NO" in line] != []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_arguments_examples_and_exit_codes(name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert f"\nexamples:\n  fhir-b12 {name}" in out
    assert "\nexit codes:\n  0  all is well" in out
    silent = [action.dest for action in COMMANDS[name]._actions if not action.help]
    assert silent == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_help_run(inside, example):
    code, out, err = call(*shlex.split(example)[1:])
    assert (code, err) == (0, "")
    assert out or "--output" in example


def test_help_names_every_command():
    out = call("--help")[1]
    assert [name for name in COMMANDS if f"\n    {name}" not in out] == []
