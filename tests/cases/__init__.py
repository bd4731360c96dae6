"""What real senders do, as data: what they send, and what it must read as.

Each file is a group of cases about one thing; the folder is its theme.

    about     the group in a few words
    reads     the record that comes out: `LabResult`, `TherapyRecord` of a Bundle, or `nothing`
    resource  what all cases of the group send; a case names what it sends otherwise (null: not)
    record    what comes out, as plain JSON; likewise
    cases     sentence -> case

A case may also say

    same_as    the sentence of the case whose record must come out, to the last digit
    issues     all that is wrong: severity, code, expression
    residue    paths of what is in no record; without a word of it, of a record none, else all
    meaning    field -> the concept found by the code tables, `lab_tests.ferritin`; null: none
    mechanism  field -> the step of absorption that its concept breaks
    canonical  true where the record is written just so
    each       name -> values that stand for `{name}` in the case, one case for every choice

In a Bundle the entries of a case come after those of its group.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.jsonio import loads

FOLDER = Path(__file__).parent


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of a sender, and what it must read as."""

    theme: str
    group: str
    about: str
    sentence: str
    resource: Any
    reads: str
    record: Any = None
    differs: Any = None  #: the part of the record that is this case's own
    same_as: str | None = None
    issues: tuple[tuple[str, str, str], ...] = ()
    residue: tuple[str, ...] | None = None
    meaning: dict[str, str | None] = {}
    mechanism: dict[str, str | None] = {}
    canonical: bool = False

    def __str__(self) -> str:
        """The case as a test's name."""
        return f"{self.theme}: {self.sentence}"


def load() -> list[Case]:
    """Every case, in the order of folders and files."""
    return [case for path in sorted(FOLDER.glob("*/*.json")) for case in _group(path)]


def _group(path: Path) -> Iterator[Case]:
    group = loads(path.read_bytes())
    cases = dict(_every(group.pop("cases")))
    for sentence, case in cases.items():
        said = {"reads": group["reads"], **case}
        leader = cases[case["same_as"]] if "same_as" in case else case
        differs = leader.get("record")
        said["resource"] = _over(group["resource"], case.get("resource", {}))
        if said["reads"] == "nothing":
            said["record"] = None
        elif isinstance(differs, list):  # of a Bundle, each patient's record
            said["record"] = differs
        else:
            said["record"] = {**group.get("record", {}), **(differs or {})}
        known = {"theme": path.parent.name, "group": path.stem, "about": group["about"]}
        yield msgspec.convert({**known, "sentence": sentence, "differs": differs, **said}, Case)


def _every(cases: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The cases with every choice of their `each` filled in."""
    for sentence, case in cases.items():
        each = case.pop("each", {})
        for choice in itertools.product(*each.values()):
            words = dict(zip(each, choice, strict=True))
            yield _filled(sentence, words), _filled(case, words)


def _filled(node: Any, words: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _filled(child, words) for name, child in node.items()}
    if isinstance(node, list):
        return [_filled(child, words) for child in node]
    if isinstance(node, str):
        for name, word in words.items():
            node = node.replace(f"{{{name}}}", word)
    return node


def _over(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """A resource with what a case sends otherwise; entries of a Bundle are joined."""
    both = {**base, **change}
    if "entry" in base and "entry" in change:
        both["entry"] = base["entry"] + change["entry"]
    return {name: value for name, value in both.items() if value is not None}
