"""The demo's files, to work on."""

import pytest

from fhir_b12.cli import file_validator
from fhir_b12.jsonio import dumps
from tests.cli import fake_validator
from tests.cli.fake_validator import BAD, GOOD, MENDABLE, put
from tests.cli.shell import call


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The demo's files: course.json, bundle.json, records.ndjson and resources.ndjson."""
    place = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FHIR_B12_FIXTURES", str(place))
        assert call("demo", "--save", str(place))[0] == 0
    bundle = str(place / "bundle.json")
    for command, source, target in (
        ("from-fhir", bundle, "records.ndjson"),
        ("to-fhir", str(place / "course.json"), "resources.ndjson"),
    ):
        code, _, err = call(command, source, "--format", "ndjson", "-o", str(place / target))
        assert (code, err) == (0, "")
    return place


@pytest.fixture
def inside(folder, tmp_path, monkeypatch):
    """A folder of one's own with the demo's files in it, to stand in."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_B12_FIXTURES", str(tmp_path))
    return tmp_path


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A folder to stand in, and the stand-in for the validator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file_validator, "validator", lambda _: fake_validator.validate)
    put("good.json", dumps(GOOD))
    put("bad.json", dumps(BAD, indent=2))
    put("mend.json", MENDABLE.encode())
    put("all.ndjson", dumps(GOOD) + b"\n\n" + dumps(BAD) + b'\n{"x": \n' + dumps(GOOD))
    return tmp_path
