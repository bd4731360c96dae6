"""The reference validator's own test cases: what it was seen to say of them, beside ours."""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from fhir_b12 import jsonio
from fhir_b12.validation import Validator
from tests.conformance import xml


@dataclass(frozen=True)
class Case:
    """One run of a case: as it is, or with its profile."""

    name: str
    file: Path
    supporting: tuple[Path, ...]
    profile: str | None
    issues: tuple[dict, ...]

    def rows(self) -> list[dict]:
        """The issues as the recorded outcomes have them."""
        return [
            {**each, "expression": (each.get("expression") or [None])[0], "rule": each["text"]}
            for each in self.issues
        ]

    @property
    def errors(self) -> list[dict]:
        return [each for each in self.issues if each["severity"] in {"error", "fatal"}]

    def report(self):
        """What we say."""
        with tempfile.TemporaryDirectory() as folder:
            for each in self.supporting:
                target = Path(folder) / f"{each.stem}.json"
                target.write_bytes(jsonio.dumps(_definition(each)))
            packages = [folder] if self.supporting else []
            profiles = [self.profile] if self.profile else []
            validator = Validator(profiles, packages, plausibility=False)
            return validator.validate(self.file.read_bytes())


def cases(fixtures: Path) -> Iterator[Case]:
    root = fixtures / "validator_cases"
    index = json.loads((root / "index.json").read_text("utf-8"))
    for case in index["cases"]:
        names = dict.fromkeys(case["profiles_supporting"])
        for run, expected in case["expected"].items():
            profile = case["profile"] if run == "profile" else None
            needed = names | ({profile: None} if profile else {})
            supporting = tuple(root / "files" / name for name in needed)
            yield Case(
                f"{case['id']} {run}",
                root / "files" / case["file"],
                supporting,
                _url(root / "files" / profile) if profile else None,
                tuple(expected["issues"]),
            )


def _definition(file: Path) -> dict:
    if file.suffix == ".xml":
        return xml.resource(ET.parse(file).getroot())
    return jsonio.loads(file.read_bytes())


def _url(file: Path) -> str:
    """The canonical url of the profile in a file."""
    found = _definition(file)
    if found["resourceType"] == "Bundle":
        found = found["entry"][0]["resource"]
    return found["url"]
