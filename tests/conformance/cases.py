"""The reference validator's own test cases: what it was seen to say of them, beside ours."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fhir_b12.validation import Validator


@dataclass(frozen=True)
class Case:
    """One run of a case: as it is, or with its profile."""

    name: str
    file: Path
    supporting: tuple[Path, ...]
    profile: str | None
    issues: tuple[dict, ...]

    @property
    def needs_xml(self) -> bool:
        """Whether a definition it needs is written in XML."""
        return any(each.suffix == ".xml" for each in self.supporting)

    @property
    def errors(self) -> list[dict]:
        return [each for each in self.issues if each["severity"] in {"error", "fatal"}]

    def report(self):
        """What we say."""
        with tempfile.TemporaryDirectory() as folder:
            for each in self.supporting:
                shutil.copy(each, folder)
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


def _url(file: Path) -> str | None:
    """The canonical url of the profile in a file."""
    if file.suffix == ".xml":
        return None
    found = json.loads(file.read_text("utf-8"))
    if found["resourceType"] == "Bundle":
        found = found["entry"][0]["resource"]
    return found["url"]
