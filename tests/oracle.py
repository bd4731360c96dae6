"""HL7's own validator as a judge, where the environment variable FHIR_B12_ORACLE names it."""

import json
import os
import subprocess

from tests.conformance.outcomes import Row
from tests.requirements import skip_missing


def errors(questions, *packages):
    """Place -> rules of its errors in each text, asked at once; a question has text and profiles.

    What it says only because it runs alone is left out; see tests/conformance/outcomes.py.
    """
    program = os.environ.get("FHIR_B12_ORACLE")
    if program is None:
        skip_missing("HL7's validator", "set FHIR_B12_ORACLE to a line server of it")
    given = [option for package in packages for option in ("--ig", str(package))]
    lines = [json.dumps({"id": number, **asked}) for number, asked in enumerate(questions)]
    answer = subprocess.run(
        [program, *given], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    found = [json.loads(line)["issues"] for line in answer.stdout.splitlines()]
    assert len(found) == len(lines), answer.stderr
    return [Row("", "", (), tuple(issues), "").errors for issues in found]
