"""The test cases of the reference validator, with its recorded outcomes and our report."""

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
    """One run of a case: without or with its profile."""

    name: str
    file: Path
    supporting: tuple[Path, ...]
    profile: str | None
    issues: tuple[dict, ...]

    def rows(self) -> list[dict]:
        """Return the issues in the form of the recorded outcomes."""
        return [
            {**issue, "expression": (issue.get("expression") or [None])[0], "rule": issue["text"]}
            for issue in self.issues
        ]

    @property
    def errors(self) -> list[dict]:
        return [issue for issue in self.issues if issue["severity"] in {"error", "fatal"}]

    def report(self):
        """Return our report."""
        with tempfile.TemporaryDirectory() as folder:
            for file in self.supporting:
                target = Path(folder) / f"{file.stem}.json"
                target.write_bytes(jsonio.dumps(_definition(file)))
            packages = [folder] if self.supporting else []
            profiles = [self.profile] if self.profile else []
            validator = Validator(profiles, packages, plausibility=False)
            return validator.validate(self.file.read_bytes())


def cases(fixtures: Path) -> Iterator[Case]:
    """Yield every run of every case."""
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
    """Return the canonical url of the profile in a file."""
    definition = _definition(file)
    if definition["resourceType"] == "Bundle":
        definition = definition["entry"][0]["resource"]
    return definition["url"]
