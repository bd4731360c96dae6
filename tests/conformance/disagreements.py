"""Intended disagreements with the reference validator, with reasons: `disagreements.toml`.

An entry names rules of the reference that we do not report (`missing`), our rules that it does not
report (`extra`), its rows (all if none are named), and the reason. A disagreement without an entry
fails the tests, and so does an entry without a disagreement.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.outcomes import Row, plain_location

FILE = Path(__file__).parent / "disagreements.toml"


@dataclass(frozen=True)
class Difference:
    """A location at which only one of the two validators finds an error."""

    row: str
    location: str
    rules: frozenset[str]
    ours: bool  #: True if only we report an error

    def __str__(self) -> str:
        return f"{self.row} {'+' if self.ours else '-'} {self.location} {', '.join(sorted(self.rules))}"


def _applies_to(entry, row: Row | None) -> bool:
    if row is None:
        return True
    path = row.name.partition(" ")[2]
    rules = {str(issue.get("rule")) for issue in row.issues if issue["severity"] in _ERRORS}
    return (
        row.operator in entry.get("operator", [row.operator])
        and re.search(entry.get("path", ""), path) is not None
        and rules >= set(entry.get("with", ()))
        and (not entry.get("blank") or _is_blank(json.loads(row.text), path))
    )


_ERRORS = {"error", "fatal"}


def _is_blank(value, path: str) -> bool:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value.get(step)
    return isinstance(value, str) and not value.strip()


def differences(row: Row, report) -> Iterator[Difference]:
    """Yield the locations of a row at which only one of the two validators finds an error."""
    reference_errors = row.errors
    ours: dict[str, set[str]] = {}
    for issue in report:
        if issue.is_error:
            ours.setdefault(plain_location(issue.expression), set()).add(str(issue.rule))
    for location in reference_errors.keys() - ours.keys():
        yield Difference(row.name, location, frozenset(reference_errors[location]), ours=False)
    for location in ours.keys() - reference_errors.keys():
        yield Difference(row.name, location, frozenset(ours[location]), ours=True)


class ListedDifferences:
    """The entries of the files, and whether each covered a difference."""

    def __init__(self, *files: Path) -> None:
        self.entries = [
            entry
            for file in (FILE, *files)
            for entry in tomllib.loads(file.read_text("utf-8"))["differs"]
            if not files or file is not FILE or "rows" not in entry
        ]
        self._used = [False] * len(self.entries)

    def covers(self, difference: Difference, row: Row | None = None) -> bool:
        """Return True if an entry covers a difference; some entries are about certain mutants only."""
        for index, entry in enumerate(self.entries):
            if self._matches(entry, difference) and _applies_to(entry, row):
                self._used[index] = True
                return True
        return False

    @staticmethod
    def _matches(entry, difference: Difference) -> bool:
        rules = entry.get("extra" if difference.ours else "missing", ())
        if "rows" in entry and difference.row not in entry["rows"]:
            return False
        if "location" in entry and not re.search(entry["location"], difference.location):
            return False
        return all(
            any(pattern == rule or re.fullmatch(pattern, rule) for pattern in rules)
            for rule in difference.rules
        )

    def unused(self) -> list[str]:
        """Return the reasons of the entries that covered no difference."""
        return [
            entry["reason"]
            for entry, used in zip(self.entries, self._used, strict=True)
            if not used
        ]
