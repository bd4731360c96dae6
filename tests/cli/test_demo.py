"""The demo and the help."""

import shlex
from pathlib import Path

import pytest

from fhir_b12 import cli, records
from fhir_b12.cli import demo, mapping
from fhir_b12.jsonio import dumps
from tests.cli.shell import call, observation

COMMANDS = cli.build_parser()._subparsers._group_actions[0].choices
SERVER_COMMANDS = ("serve", "clients", "reindex", "backup", "restore")  #: in test_server.py
EXAMPLES = [
    line.strip()
    for name, command in COMMANDS.items()
    for line in command.epilog.splitlines()
    if line.startswith("  fhir-b12 ") and name not in SERVER_COMMANDS
]


def test_the_demo_passes_its_checks_and_fits_on_a_screen(demo_folder):
    code, out, err = call("demo")
    assert (code, err) == (0, "")
    checks = [line.split("  ")[1] for line in out.splitlines() if "  yes" in line]
    assert checks == [
        "read back, the record is identical",
        "sending it twice creates no duplicates",
        "the ledger has every value exactly once",
        "valid against FHIR R4 and our profiles",
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
    assert "A Bundle of another system: none given" in out
    assert len(out.splitlines()) <= 54
    names = {record.__name__ for record in records.RECORDS}
    assert names <= {line.split()[1] for line in out.splitlines() if line[:5].strip().isdigit()}


def test_without_the_server_the_demo_names_the_extra_to_install(demo_folder, monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    code, out, _ = call("demo")
    assert (code, "pip install 'fhir-b12[server]'" in out, "NO" in out) == (0, True, False)


def test_the_demo_accepts_another_bundle(demo_folder):
    claim = {"resourceType": "Claim", "status": "active"}
    patient = {"resourceType": "Patient", "id": "p", "gender": "male"}
    entries = [{"resource": resource} for resource in (patient, claim, observation())]
    Path("other.json").write_bytes(dumps({"resourceType": "Bundle", "entry": entries}))
    code, out, err = call("demo", "other.json")
    assert (code, err) == (0, "")
    section = out.partition("A Bundle of another system: ")[2].splitlines()
    assert section[0] == "other.json"
    assert section[1] == "  mapped   1 Patient, 1 LabResult"
    assert section[2] == "  unmapped 1 Claim"
    assert "changed entry[0].resource.gender, nothing else" in out


def test_the_demo_fails_if_a_check_fails(demo_folder, monkeypatch):
    monkeypatch.setattr(mapping, "apply_update", lambda bundle, _: {**bundle, "id": "other"})
    code, out, _ = call("demo", "bundle.json")
    assert code == 1
    assert [line for line in out.splitlines() if "  NO" in line] != []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_arguments_examples_and_exit_codes(name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert f"\nexamples:\n  fhir-b12 {name}" in out
    assert "\nexit codes:\n  0  success" in out
    undescribed = [action.dest for action in COMMANDS[name]._actions if not action.help]
    assert undescribed == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_in_help_run(demo_folder, example):
    code, out, err = call(*shlex.split(example)[1:])
    assert (code, err) == (0, "")
    assert out or "--output" in example


def test_help_lists_every_command():
    out = call("--help")[1]
    assert [name for name in COMMANDS if f"\n    {name}" not in out] == []
