"""Run one command in this process."""

import contextlib
import io
import json
import sys

from fhir_b12 import cli


def call(*arguments, stdin=b"", terminal=False):
    """Return exit code, standard output and standard error of one command."""
    out, err = io.BytesIO(), io.StringIO()
    stream = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    stream.isatty = lambda: terminal
    original, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(err):
            try:
                code = cli.main(arguments)
            except SystemExit as end:
                code = end.code
    finally:
        sys.stdin = original
    return code, out.getvalue().decode(), err.getvalue()


def rows(text):
    """Return the rows of a tab-separated table without its heads."""
    return [line.split("\t") for line in text.splitlines()[1:]]


def sorted_keys(lines):
    """Return lines of JSON with sorted keys, numbers digit for digit."""
    values = (json.loads(line, parse_float=str) for line in lines.splitlines())
    return [json.dumps(value, sort_keys=True) for value in values]


def observation(**fields):
    """Return a laboratory Observation as plain JSON."""
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category"}
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [category | {"code": "laboratory"}]}],
        "code": {"text": "B12"},
        **fields,
    }
