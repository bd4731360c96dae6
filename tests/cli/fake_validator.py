"""Fake validator of four rules, so that tests of the command do not depend on the rules of R4."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.validation.profiles import built_in
from tests.cli.shell import call

#: Rules that the fake validator applies; their ids are rules of the real one.
STATUS, ODD, NOTE, MISSING = "required-binding", "unknown-element", "dom-6", "min"
SECRET = "Sørensen"
GOOD = {"resourceType": "Observation", "status": "final"}
BAD = {"resourceType": "Observation", "status": "fnial", "note": SECRET}
FIXABLE = (
    '{\n  "resourceType": "Observation",\n  "odd": 1.00,\n  "status": "final ",\n  "x": 2.50\n}\n'
)
CODES = {"final", "amended"}


class Report(list):
    """Issues, as the validator returns them."""

    unchecked = ()
    resources = 1


class FakeValidator:
    """Validator that calls a function."""

    def __init__(self, function=None):
        self.validate = function or validate
        self.canonicals = Canonicals((), built_in.LATE)


def validate(raw):
    """Report unknown codes in `status` (fixable if padded), `odd` elements and every `note`."""
    try:
        value = loads(raw)
    except JsonError as error:
        return Report(msgspec.structs.replace(issue, stage="json") for issue in error.issues)
    report = Report(_issues(value, "", "$this"))
    report.unchecked = _unchecked(value)
    return report


def _unchecked(value):
    asks = isinstance(value, dict) and "asks" in value
    return (Issue("information", "incomplete", "$this", "X is not known offline"),) if asks else ()


def _issues(node, pointer, path) -> Iterator[Issue]:
    if isinstance(node, list):
        for i, item in enumerate(node):
            yield from _issues(item, f"{pointer}/{i}", f"{path}[{i}]")
    if not isinstance(node, dict):
        return
    resource_type = node.get("resourceType")
    path = resource_type if path == "$this" and resource_type else path
    if resource_type == "Observation" and "status" not in node:
        yield _issue("error", MISSING, "status is required", pointer, path)
    for name, value in node.items():
        child_pointer, child_path = f"{pointer}/{name}", f"{path}.{name}"
        location = (child_pointer, child_path)
        if name == "status" and value not in CODES:
            code = str(value).strip()
            fix = {"op": "replace", "path": child_pointer, "value": code}
            fixes = (fix,) if code in CODES else ()
            yield _issue("error", STATUS, "the code is not in the value set", *location, *fixes)
        elif name.startswith("odd"):
            fix = {"op": "remove", "path": child_pointer}
            yield _issue("error", ODD, f"unknown element {name}", *location, fix)
        elif name == "note":
            yield _issue("warning", NOTE, "check the note", *location)
        yield from _issues(value, *location)


def _issue(severity, rule, message, pointer, path, *fix):
    return Issue(
        severity, "invalid", path, message, rule=rule, stage="structure", pointer=pointer, fix=fix
    )


def write_file(name, content):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def findings(*arguments, **options):
    """Return the exit code, and (file, line, rule) of each finding of `validate`."""
    code, out, _ = call("validate", *arguments, "--format", "ndjson", **options)
    rows = map(json.loads, out.splitlines())
    return code, [(row["file"], row.get("line"), row.get("rule", "unreadable")) for row in rows]
