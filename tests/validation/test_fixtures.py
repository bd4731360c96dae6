"""Real data and suites of others: each gets its verdict, none an exception."""

import bz2
import json
import tarfile

import pytest

from fhir_b12 import jsonio
from fhir_b12.validation import Report, Validator
from tests.conftest import fixtures_root
from tests.requirements import EXAMPLES, missing, skip_missing

VALIDATOR = Validator()
BUNDLES = sorted((fixtures_root() / "synthea").glob("*.json.bz2")) or [
    pytest.param(None, marks=pytest.mark.skip(reason=missing(EXAMPLES, "no files in synthea/")))
]


def suites(fixtures):
    for file in sorted((fixtures / "primitives").glob("*.ndjson")):
        name, wanted, _ = file.name.split(".")
        words = name.split("_")
        kind = words[0] + "".join(word.capitalize() for word in words[1:])
        yield {"base64Binary": "base64Binary"}.get(kind, kind), wanted == "valid", file


def resource(kind, text):
    """A resource that holds a value of the type, as text so that its digits stay."""
    if kind == "xhtml":
        return f'{{"resourceType":"Basic","code":{{"text":"a"}},"text":{{"status":"generated","div":{text}}}}}'
    if kind == "reference":
        return f'{{"resourceType":"Basic","code":{{"text":"a"}},"subject":{text}}}'
    name = f"value{kind[0].upper()}{kind[1:]}"
    return (
        '{"resourceType":"Basic","code":{"text":"a"},'
        f'"extension":[{{"url":"http://clinic.example/e","{name}":{text}}}]}}'
    )


def test_every_value_of_the_suites_of_primitives_is_judged_as_they_say(fixtures):
    wrong = []
    for kind, is_valid, file in suites(fixtures):
        for line in filter(None, file.read_text("utf-8").split("\n")):
            try:
                value = json.loads(line)
            except ValueError:
                value = line
            if value is None or kind == "xhtml":  # null is no value; xhtml: see test_narrative
                continue
            # right as a value, but not without a transaction or what it names as contained
            elsewhere = kind == "reference" and ("?" in line or "#" in line)
            if VALIDATOR.validate(resource(kind, line)).valid != is_valid and not elsewhere:
                wrong.append(f"{kind} {line}")
    assert wrong == []


@pytest.mark.parametrize("folder", ["r4-examples", "us-core", "validator_cases"])
def test_every_example_gets_a_report(fixtures, folder):
    for file in sorted((fixtures / folder).rglob("*.json")):
        assert isinstance(VALIDATOR.validate(file.read_bytes(), positions=True), Report), file


def test_every_text_of_the_json_suite_gets_a_report_and_none_is_valid(fixtures):
    for file in sorted((fixtures / "json-parsing").glob("*.json")):
        report = VALIDATOR.validate(file.read_bytes(), positions=True)
        assert not report.valid, file


@pytest.mark.parametrize("name", ["us.core", "uv.ips"])
def test_every_example_of_a_package_gets_a_report_by_its_profiles(fixtures, name):
    files = sorted((fixtures / "packages").glob(f"hl7.fhir.{name}-*.tgz"))
    if not files:
        skip_missing(EXAMPLES, f"no package hl7.fhir.{name} in packages/")
    for file in files:
        validator = Validator((), [file])
        with tarfile.open(file) as archive:
            texts = [
                archive.extractfile(member).read()
                for member in archive
                if "/example/" in member.name
            ]
        assert texts
        for text in texts:
            assert isinstance(validator.validate(text), Report)


@pytest.mark.parametrize("file", BUNDLES, ids=lambda file: file and file.name)
def test_every_bundle_of_synthea_gets_a_report(file):
    report = VALIDATOR.validate(jsonio.loads(bz2.decompress(file.read_bytes())))
    rules = {issue.rule for issue in report if issue.is_error}
    # what HL7's validator says of them too (displays that R4 defines otherwise, an oxygen saturation
    # without R4's code for it), and a DICOM class that is no URI though its system says so
    assert rules <= {"wrong-display", "required-binding", "profile-slice-min", "unknown-code"}
