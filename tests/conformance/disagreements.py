"""Where we disagree with the reference on purpose, each with its reason: `disagreements.toml`.

An entry names the rules of the reference that we do not report (`missing`), ours that it does not
(`extra`), the rows it is about (all, if none are named) and why. A disagreement that no entry covers
is a defect, and so is an entry that covers nothing.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.outcomes import Row, place

FILE = Path(__file__).parent / "disagreements.toml"


@dataclass(frozen=True)
class Difference:
    """One place at which one of both finds an error and the other does not."""

    row: str
    place: str
    rules: frozenset[str]
    ours: bool  #: whether the error is ours

    def __str__(self) -> str:
        return (
            f"{self.row} {'+' if self.ours else '-'} {self.place} {', '.join(sorted(self.rules))}"
        )


def _is_of(entry, row: Row | None) -> bool:
    if row is None:
        return True
    path = row.name.partition(" ")[2]
    rules = {str(issue.get("rule")) for issue in row.issues if issue["severity"] in _GRAVE}
    return (
        row.operator in entry.get("operator", [row.operator])
        and re.search(entry.get("path", ""), path) is not None
        and rules >= set(entry.get("with", ()))
        and (not entry.get("blank") or _is_blank(json.loads(row.text), path))
    )


_GRAVE = {"error", "fatal"}


def _is_blank(value, path: str) -> bool:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value.get(step)
    return isinstance(value, str) and not value.strip()


def differences(row: Row, report) -> Iterator[Difference]:
    theirs = row.errors
    ours: dict[str, set[str]] = {}
    for issue in report:
        if issue.is_error:
            ours.setdefault(place(issue.expression), set()).add(str(issue.rule))
    for each in theirs.keys() - ours.keys():
        yield Difference(row.name, each, frozenset(theirs[each]), ours=False)
    for each in ours.keys() - theirs.keys():
        yield Difference(row.name, each, frozenset(ours[each]), ours=True)


class Listed:
    """The entries of files, and which of them were met."""

    def __init__(self, *files: Path) -> None:
        self.entries = [
            entry
            for file in (FILE, *files)
            for entry in tomllib.loads(file.read_text("utf-8"))["differs"]
            if not files or file is not FILE or "rows" not in entry
        ]
        self._met = [False] * len(self.entries)

    def covers(self, difference: Difference, row: Row | None = None) -> bool:
        """`row` is the mutant, for entries that say which kinds of mutants they are about."""
        for index, entry in enumerate(self.entries):
            if self._fits(entry, difference) and _is_of(entry, row):
                self._met[index] = True
                return True
        return False

    @staticmethod
    def _fits(entry, difference: Difference) -> bool:
        rules = entry.get("extra" if difference.ours else "missing", ())
        if "rows" in entry and difference.row not in entry["rows"]:
            return False
        if "place" in entry and not re.search(entry["place"], difference.place):
            return False
        return all(
            any(each == rule or re.fullmatch(each, rule) for each in rules)
            for rule in difference.rules
        )

    def unmet(self) -> list[str]:
        return [
            entry["reason"] for entry, met in zip(self.entries, self._met, strict=True) if not met
        ]
