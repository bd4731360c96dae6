"""Folders with the demo's files, or with files for the fake validator."""

import pytest

from fhir_b12.cli import file_validator
from fhir_b12.jsonio import dumps
from tests.cli.fake_validator import BAD, FIXABLE, GOOD, FakeValidator, write_file
from tests.cli.shell import call


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory):
    """Return a folder with course.json, bundle.json, records.ndjson and resources.ndjson."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FHIR_B12_FIXTURES", str(folder))
        assert call("demo", "--save", str(folder))[0] == 0
    bundle = str(folder / "bundle.json")
    for command, source, target in (
        ("from-fhir", bundle, "records.ndjson"),
        ("to-fhir", str(folder / "course.json"), "resources.ndjson"),
    ):
        code, _, err = call(command, source, "--format", "ndjson", "-o", str(folder / target))
        assert (code, err) == (0, "")
    return folder


@pytest.fixture
def demo_folder(demo_files, tmp_path, monkeypatch):
    """Change into a folder with a copy of the demo's files, and return it."""
    for file in demo_files.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FHIR_B12_FIXTURES", str(tmp_path))
    return tmp_path


@pytest.fixture
def fake_folder(tmp_path, monkeypatch):
    """Change into a folder with files for the fake validator, and install the validator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(file_validator, "build_validator", lambda _: FakeValidator())
    write_file("good.json", dumps(GOOD))
    write_file("bad.json", dumps(BAD, indent=2))
    write_file("fixable.json", FIXABLE.encode())
    write_file("all.ndjson", dumps(GOOD) + b"\n\n" + dumps(BAD) + b'\n{"x": \n' + dumps(GOOD))
    return tmp_path
