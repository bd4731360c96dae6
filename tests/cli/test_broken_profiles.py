"""A broken file in profiles/ is an error of the installation, never a fault of the data."""

import json

import pytest

from fhir_b12 import data
from fhir_b12.validation import Validator
from fhir_b12.validation.profiles import built_in
from tests.cli.shell import call

NAME = "StructureDefinition-b12-condition.json"
URL = "https://fhir-b12.org/StructureDefinition/b12-condition"
CONDITION = {
    "resourceType": "Condition",
    "meta": {"profile": [URL]},
    "code": {"text": "Vitamin B12 deficiency"},
    "subject": {"reference": "Patient/1"},
}


@pytest.fixture
def replace(monkeypatch):
    """A function that replaces the text of one file of profiles/."""
    read = data.read
    built_in.package.cache_clear()

    def change(edit):
        monkeypatch.setattr(
            data,
            "read",
            lambda folder, name: edit(read(folder, name)) if name == NAME else read(folder, name),
        )

    yield change
    built_in.package.cache_clear()


def edited(**facts):
    return lambda text: json.dumps({**json.loads(text), **facts}).encode()


BROKEN = {
    "syntax": (lambda text: text.replace(b"{", b"", 1), f"profiles/{NAME}: "),
    "list": (lambda _: b"[]", f"profiles/{NAME}: is not a JSON object: write one definition"),
    "url": (edited(url=None), f"profiles/{NAME}: url is required: add it"),
    "base": (edited(baseDefinition="http://nowhere.test/x"), f"profiles/{NAME}: "),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_profile_file_raises_table_error_with_its_name(replace, kind):
    edit, message = BROKEN[kind]
    replace(edit)
    with pytest.raises(data.TableError) as error:
        Validator().validate(CONDITION)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("kind", BROKEN)
def test_validate_exits_with_2_and_names_the_broken_profile_file(replace, tmp_path, kind):
    edit, message = BROKEN[kind]
    replace(edit)
    file = tmp_path / "condition.json"
    file.write_text(json.dumps(CONDITION))
    code, out, err = call("validate", str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"fhir-b12: {message}")
