"""Where we disagree with the reference on purpose, each with its reason: `disagreements.toml`.

An entry names the rules of the reference that we do not report (`missing`), ours that it does not
(`extra`), the rows it is about (all, if none are named) and why. A disagreement that no entry covers
is a defect, and so is an entry that covers nothing.
"""

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
    """The entries of the file, and which of them were met."""

    def __init__(self) -> None:
        self.entries = tomllib.loads(FILE.read_text("utf-8"))["differs"]
        self._met = [False] * len(self.entries)

    def covers(self, difference: Difference) -> bool:
        for index, entry in enumerate(self.entries):
            if self._fits(entry, difference):
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
        return difference.rules <= set(rules)

    def unmet(self) -> list[str]:
        return [
            entry["reason"] for entry, met in zip(self.entries, self._met, strict=True) if not met
        ]
