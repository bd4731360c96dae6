"""A validator of three rules, so that what is tested is the command and not the rules of R4."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, loads
from tests.cli.shell import call

SECRET = "Sørensen"
GOOD = {"resourceType": "Observation", "status": "final"}
BAD = {"resourceType": "Observation", "status": "fnial", "note": SECRET}
MENDABLE = (
    '{\n  "resourceType": "Observation",\n  "odd": 1.00,\n  "status": "final ",\n  "x": 2.50\n}\n'
)
CODES = {"final", "amended"}


class Report(list):
    """Issues, as the validator gives them."""

    unchecked = ()
    resources = 1


def validate(raw):
    """`status` must be known (blanks can be mended), nothing is odd, a note is to be looked at."""
    try:
        value = loads(raw)
    except JsonError as error:
        return Report(msgspec.structs.replace(each, stage="json") for each in error.issues)
    report = Report(_found(value, "", "$this"))
    report.unchecked = _unchecked(value)
    return report


def _unchecked(value):
    asks = isinstance(value, dict) and "asks" in value
    return (Issue("information", "incomplete", "$this", "X is not known offline"),) if asks else ()


def _found(node, pointer, path) -> Iterator[Issue]:
    if isinstance(node, list):
        for i, each in enumerate(node):
            yield from _found(each, f"{pointer}/{i}", f"{path}[{i}]")
    if not isinstance(node, dict):
        return
    kind = node.get("resourceType")
    path = kind if path == "$this" and kind else path
    if kind == "Observation" and "status" not in node:
        yield _issue("error", "min", "status is missing", pointer, path)
    for name, each in node.items():
        here, where = f"{pointer}/{name}", f"{path}.{name}"
        if name == "status" and each not in CODES:
            mended = str(each).strip()
            fix = ({"op": "replace", "path": here, "value": mended},) if mended in CODES else ()
            yield _issue("error", "status", "the code is none of R4", here, where, *fix)
        elif name.startswith("odd"):
            fix = ({"op": "remove", "path": here},)
            yield _issue("error", "odd", f"there is no {name}", here, where, *fix)
        elif name == "note":
            yield _issue("warning", "note", "look at the note", here, where)
        yield from _found(each, here, where)


def _issue(severity, rule, message, pointer, path, *fix):
    return Issue(
        severity, "invalid", path, message, rule=rule, stage="structure", pointer=pointer, fix=fix
    )


def put(name, content):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def told(*arguments, **given):
    """Exit code, and (file, line, rule) of each finding."""
    code, out, _ = call("validate", *arguments, "--format", "ndjson", **given)
    rows = map(json.loads, out.splitlines())
    return code, [(row["file"], row.get("line"), row.get("rule", "trouble")) for row in rows]
