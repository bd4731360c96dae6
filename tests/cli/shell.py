"""One command in this process, and what it is given."""

import contextlib
import io
import json
import sys

from fhir_b12 import cli


def call(*arguments, stdin=b"", terminal=False):
    """Exit code, standard output and standard error of one command."""
    out, err = io.BytesIO(), io.StringIO()
    stream = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    stream.isatty = lambda: terminal
    given, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(err):
            try:
                code = cli.main(arguments)
            except SystemExit as end:
                code = end.code
    finally:
        sys.stdin = given
    return code, out.getvalue().decode(), err.getvalue()


def rows(text):
    """The lines of a plain table, its heads left out."""
    return [line.split("\t") for line in text.splitlines()[1:]]


def sorted_keys(lines):
    """Lines of JSON whatever the order of their keys, numbers digit for digit."""
    found = (json.loads(line, parse_float=str) for line in lines.splitlines())
    return [json.dumps(each, sort_keys=True) for each in found]


def observation(**fields):
    category = {"system": "http://terminology.hl7.org/CodeSystem/observation-category"}
    return {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [category | {"code": "laboratory"}]}],
        "code": {"text": "B12"},
        **fields,
    }
