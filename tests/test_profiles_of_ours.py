"""Our profiles: written resources conform to them, and HL7's validator agrees."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_b12 import guide, jsonio
from fhir_b12.definitions.packages import open_package
from fhir_b12.guide import package
from fhir_b12.mapping.lens import lens, to_fhir
from fhir_b12.mapping.table import ORDER
from fhir_b12.validation import Validator
from fhir_b12.validation.profiles import built_in
from tests.conftest import examples
from tests.laws import valid_records
from tests.oracle import errors

LENSES = {lens(name).table.record: lens(name) for name in ORDER}
RECORD_TYPES = sorted(LENSES, key=lambda record_type: record_type.__name__)
PROFILES = guide.profiles()
VALIDATOR = Validator(plausibility=False)


def profile_of(record_type):
    return LENSES[record_type].table.profile


def draw_records(record_type, number):
    """Return a number of random valid records of a type."""
    records = []

    @settings(max_examples=number)
    @given(record=valid_records.draw_record(record_type))
    def gather(record):
        records.append(record)

    gather()
    return records


def test_every_mapping_table_names_one_of_our_profiles():
    urls = {profile["url"] for profile in PROFILES}
    assert [
        record_type.__name__ for record_type in RECORD_TYPES if profile_of(record_type) not in urls
    ] == []


@pytest.mark.parametrize("profile", PROFILES, ids=[profile["id"] for profile in PROFILES])
def test_a_profile_has_a_snapshot_a_title_and_a_description(profile):
    whole = VALIDATOR.canonicals.structure(profile["url"])
    assert len(whole["snapshot"]["element"]) >= len(profile["differential"]["element"])
    assert profile["title"]
    assert profile["description"]


@pytest.mark.parametrize(
    "record_type", RECORD_TYPES, ids=[record_type.__name__ for record_type in RECORD_TYPES]
)
@examples(30)
@given(data=st.data())
def test_a_written_resource_conforms_to_its_profile(record_type, data):
    record = data.draw(valid_records.draw_record(record_type))
    resource = to_fhir(record)
    report = VALIDATOR.validate(resource, profiles=[profile_of(record_type)])
    assert [str(issue) for issue in report if issue.is_error] == []


def test_the_package_is_deterministic_and_can_be_opened(tmp_path):
    first = package.pack_files(package.files())
    assert first == package.pack_files(package.files())
    file = tmp_path / package.file_name()
    file.write_bytes(first)
    content = open_package(file)
    urls = {entry.url for entry in content.archive.entries}
    assert {resource["url"] for resource in (*guide.profiles(), *guide.terminology())} <= urls


def test_our_validator_finds_no_error_in_the_package():
    errors_by_file = {}
    for name, text in package.files().items():
        if name.endswith((".index.json", "package.json")):
            continue
        report = VALIDATOR.validate(text)
        errors_by_file[name] = [str(issue) for issue in report if issue.is_error]
    assert len(errors_by_file) > 90
    assert {name: issues for name, issues in errors_by_file.items() if issues} == {}


@pytest.mark.slow
def test_hl7_validator_finds_no_error_in_the_package(tmp_path):
    file = tmp_path / package.file_name()
    file.write_bytes(package.pack_files(package.files()))
    texts = {
        name: text.decode()
        for name, text in package.files().items()
        if not name.endswith((".index.json", "package.json"))
    }
    errors_by_text = errors([{"text": text, "profiles": []} for text in texts.values()], file)
    assert {
        name: text_errors
        for name, text_errors in zip(texts, errors_by_text, strict=True)
        if text_errors
    } == {}


@pytest.mark.slow
def test_hl7_validator_finds_no_error_in_500_written_resources(tmp_path):
    file = tmp_path / package.file_name()
    file.write_bytes(package.pack_files(package.files()))
    questions = [
        {"text": jsonio.dumps(to_fhir(record)).decode(), "profiles": [profile_of(record_type)]}
        for record_type in RECORD_TYPES
        for record in draw_records(record_type, 500 // len(RECORD_TYPES) + 1)
    ]
    assert len(questions) >= 500
    errors_by_question = errors(questions, file)
    wrong = [
        (json.loads(question["text"])["resourceType"], text_errors)
        for question, text_errors in zip(questions, errors_by_question, strict=True)
        if text_errors
    ]
    assert wrong == []


def test_the_package_of_built_in_profiles_is_cached():
    assert built_in.package() is built_in.package()
