"""Our profiles: what we write keeps them, what breaks them is told, HL7's validator agrees."""

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
from tests.laws import sound
from tests.oracle import errors

LENSES = {lens(name).table.record: lens(name) for name in ORDER}
KINDS = sorted(LENSES, key=lambda kind: kind.__name__)
PROFILES = guide.profiles()
VALIDATOR = Validator(plausibility=False)


def profile_of(kind):
    return LENSES[kind].table.profile


def drawn(kind, number):
    """So many sound records of a kind."""
    found = []

    @settings(max_examples=number)
    @given(record=sound.record(kind))
    def gather(record):
        found.append(record)

    gather()
    return found


def test_every_table_writes_to_a_profile_of_ours():
    urls = {each["url"] for each in PROFILES}
    assert [kind.__name__ for kind in KINDS if profile_of(kind) not in urls] == []


@pytest.mark.parametrize("profile", PROFILES, ids=[each["id"] for each in PROFILES])
def test_a_profile_makes_a_snapshot_and_says_what_it_is_for(profile):
    whole = VALIDATOR.canonicals.structure(profile["url"])
    assert len(whole["snapshot"]["element"]) >= len(profile["differential"]["element"])
    assert profile["title"]
    assert profile["description"]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
@examples(30)
@given(data=st.data())
def test_what_a_table_writes_keeps_its_profile(kind, data):
    record = data.draw(sound.record(kind))
    resource = to_fhir(record)
    report = VALIDATOR.validate(resource, profiles=[profile_of(kind)])
    assert [str(each) for each in report if each.is_error] == []


def test_the_package_is_the_same_each_time_and_opens(tmp_path):
    first = package.pack_files(package.files())
    assert first == package.pack_files(package.files())
    file = tmp_path / package.file_name()
    file.write_bytes(first)
    opened = open_package(file)
    urls = {entry.url for entry in opened.archive.entries}
    assert {each["url"] for each in (*guide.profiles(), *guide.terminology())} <= urls


def test_every_file_of_the_package_is_valid_by_our_own_validator():
    found = {}
    for name, text in package.files().items():
        if name.endswith((".index.json", "package.json")):
            continue
        report = VALIDATOR.validate(text)
        found[name] = [str(each) for each in report if each.is_error]
    assert len(found) > 90
    assert {name: issues for name, issues in found.items() if issues} == {}


@pytest.mark.slow
def test_the_reference_finds_no_error_in_the_package(tmp_path):
    file = tmp_path / package.file_name()
    file.write_bytes(package.pack_files(package.files()))
    texts = {
        name: text.decode()
        for name, text in package.files().items()
        if not name.endswith((".index.json", "package.json"))
    }
    found = errors([{"text": text, "profiles": []} for text in texts.values()], file)
    assert {name: each for name, each in zip(texts, found, strict=True) if each} == {}


@pytest.mark.slow
def test_the_reference_finds_no_error_in_500_resources_we_write(tmp_path):
    file = tmp_path / package.file_name()
    file.write_bytes(package.pack_files(package.files()))
    questions = [
        {"text": jsonio.dumps(to_fhir(record)).decode(), "profiles": [profile_of(kind)]}
        for kind in KINDS
        for record in drawn(kind, 500 // len(KINDS) + 1)
    ]
    assert len(questions) >= 500
    found = errors(questions, file)
    told = [
        (json.loads(asked["text"])["resourceType"], each)
        for asked, each in zip(questions, found, strict=True)
        if each
    ]
    assert told == []


def test_our_profiles_are_made_once():
    assert built_in.package() is built_in.package()
