"""HL7's validator as the reference, if the environment variable FHIR_B12_ORACLE names it."""

import json
import os
import subprocess

from tests.conformance.outcomes import Row
from tests.requirements import skip_missing


def errors(questions, *packages):
    """Return for each text the rules of its errors by location, as HL7's validator reports them.

    Args:
        questions: dicts with the text and the profiles to validate; all go to one process.
        packages: FHIR packages to load.

    Findings that only occur because a text is validated alone are left out; see
    tests/conformance/outcomes.py.

    """
    program = os.environ.get("FHIR_B12_ORACLE")
    if program is None:
        skip_missing("HL7's validator", "set FHIR_B12_ORACLE to a line server of it")
    options = [option for package in packages for option in ("--ig", str(package))]
    lines = [json.dumps({"id": number, **question}) for number, question in enumerate(questions)]
    answer = subprocess.run(
        [program, *options], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    outcomes = [json.loads(line)["issues"] for line in answer.stdout.splitlines()]
    assert len(outcomes) == len(lines), answer.stderr
    return [Row("", "", (), tuple(issues), "").errors for issues in outcomes]
