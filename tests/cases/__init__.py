"""Cases of resources as real systems send them, with the record expected from each.

Each file is a group of cases; its folder is the theme.

    about     title of the group
    reads     type of the expected record: `LabResult`, `TherapyRecord` (of a Bundle) or `nothing`
    resource  members of the resource common to all cases; a case overrides them (null: removes)
    record    members of the expected record as plain JSON; overridden likewise
    cases     title -> case

Optional members of a case:

    same_as    title of the case with the same expected record, to the last digit
    issues     all expected issues: severity, code, expression
    residue    expected residue paths; default: none if a record is read, otherwise all
    meaning    field -> expected concept of the code tables, `lab_tests.ferritin`; null: none
    mechanism  field -> expected absorption mechanism of its concept
    canonical  true if the record is written exactly like the resource
    each       name -> values of the placeholder `{name}`; one case for every combination

The entries of a Bundle case are appended to those of its group.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.jsonio import loads

FOLDER = Path(__file__).parent


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resource as a system sends it, and the expected record."""

    theme: str
    group: str
    about: str
    title: str
    resource: Any
    reads: str
    record: Any = None
    own_record: Any = None  #: the part of the record that is this case's own
    same_as: str | None = None
    issues: tuple[tuple[str, str, str], ...] = ()
    residue: tuple[str, ...] | None = None
    meaning: dict[str, str | None] = {}
    mechanism: dict[str, str | None] = {}
    canonical: bool = False

    def __str__(self) -> str:
        """Return the case as a test name."""
        return f"{self.theme}: {self.title}"


def load() -> list[Case]:
    """Return all cases in the order of folders and files."""
    return [case for path in sorted(FOLDER.glob("*/*.json")) for case in _load_group(path)]


def _load_group(path: Path) -> Iterator[Case]:
    group = loads(path.read_bytes())
    cases = dict(_expand(group.pop("cases")))
    for title, case in cases.items():
        values = {"reads": group["reads"], **case}
        leader = cases[case["same_as"]] if "same_as" in case else case
        own_record = leader.get("record")
        values["resource"] = _override(group["resource"], case.get("resource", {}))
        if values["reads"] == "nothing":
            values["record"] = None
        elif isinstance(own_record, list):  # a Bundle: one record per patient
            values["record"] = own_record
        else:
            values["record"] = {**group.get("record", {}), **(own_record or {})}
        known = {"theme": path.parent.name, "group": path.stem, "about": group["about"]}
        yield msgspec.convert({**known, "title": title, "own_record": own_record, **values}, Case)


def _expand(cases: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield title and case for every combination of the values of `each`."""
    for title, case in cases.items():
        choices = case.pop("each", {})
        for choice in itertools.product(*choices.values()):
            placeholders = dict(zip(choices, choice, strict=True))
            yield _fill_in(title, placeholders), _fill_in(case, placeholders)


def _fill_in(node: Any, placeholders: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _fill_in(child, placeholders) for name, child in node.items()}
    if isinstance(node, list):
        return [_fill_in(child, placeholders) for child in node]
    if isinstance(node, str):
        for name, word in placeholders.items():
            node = node.replace(f"{{{name}}}", word)
    return node


def _override(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return a resource with the members of a case; entries of a Bundle are appended."""
    both = {**base, **change}
    if "entry" in base and "entry" in change:
        both["entry"] = base["entry"] + change["entry"]
    return {name: value for name, value in both.items() if value is not None}
