"""Findings: the rule that is broken, the values of its message, and the path to the location.

A check receives a node and appends findings whose paths start at that node. A caller that passes
on a part of its own node calls `prepend_path` afterwards, so a path is only built for a fault.

The texts of the rules are in `rules/*.toml`, one file for each stage: severity, FHIR issue code,
message, reason, and link to the specification. A message names a patient's value only by
`{value}`, which is filled in only if the user asks for values.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import msgspec

from fhir_b12 import data
from fhir_b12.caching import known_to_msgspec
from fhir_b12.issues import Severity

Path = tuple[str | int, ...]  #: JSON names and indices: ("component", 0, "valueQuantity")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule, as `rules/*.toml` states it."""

    id: str = ""  #: key of the table: "unknown-element"
    stage: str = ""  #: name of the file: "structure", "terminology", ...
    severity: Severity
    code: str  #: https://hl7.org/fhir/R4/valueset-issue-type.html
    message: str  #: what is wrong and the remedy, with {names} of the finding's values
    why: str  #: the reason for the rule, shown by --explain
    source: str  #: link to the specification or to a publication
    #: which element the expression of the issue names; HL7's validator often names the parent
    at: Literal["element", "list", "parent", "root"] = "element"


class Finding:
    """One fault. `path` leads from the node that was checked to the location, last step first."""

    __slots__ = ("fix", "path", "rule", "severity", "values")

    def __init__(
        self,
        rule: str,
        *path: str | int,
        severity: Severity | None = None,
        fix: tuple[dict[str, Any], ...] = (),
        **values: Any,
    ) -> None:
        """Build a finding: `Finding("min", "component", 0, name="code")`.

        Args:
            rule: Id of the rule.
            path: Steps from the node to the location, first step first.
            severity: Severity, if it depends on the data; None for that of the rule.
            fix: JSON Patch whose paths start at the location,
                `{"op": "replace", "path": "", "value": "final"}`; "../b" is a sibling.
            values: Values of the message. `key` names a more specific rule: "obs-6".

        """
        self.rule = rule
        self.path: list[str | int] = [*reversed(path)]
        self.values = values
        self.severity = severity
        self.fix = fix


Findings = list[Finding]


def prepend_path(findings: list[Finding], since: int, *steps: str | int) -> None:
    """Put steps before the paths of the findings from index `since` on.

    `prepend_path(findings, mark, "component", 0)` moves findings of a component to its owner.
    """
    for finding in findings[since:]:
        finding.path.extend(reversed(steps))


def is_error(finding: Finding) -> bool:
    """Return True if a finding makes the data invalid."""
    return (finding.severity or rules()[finding.rule].severity) in {"fatal", "error"}


@cache
def rules() -> Mapping[str, Rule]:
    """Return every rule by its id.

    Raises:
        TableError: A file is not TOML, a rule lacks a field, or two rules have one id.

    """
    by_id: dict[str, Rule] = {}
    for stage, text in data.rules():
        for rule_id, fields in _parse_rules(stage, text).items():
            if rule_id in by_id:
                raise data.TableError(f"rules/{stage}.toml: {rule_id} is in another file too")
            added = {"id": rule_id, "stage": stage}
            if stage == "plausibility" and "source" not in fields:
                added["source"] = _plausibility_source(rule_id)
            try:
                by_id[rule_id] = msgspec.convert(fields | added, known_to_msgspec(Rule))
            except msgspec.ValidationError as error:
                raise data.TableError(f"rules/{stage}.toml: {rule_id}: {error}") from error
    return by_id


def _plausibility_source(rule_id: str) -> str:
    """Return the source of a rule's numbers; "OBS-03-text" is another message of OBS-03."""
    source: str = data.toml("plausibility.toml")[rule_id[:6]]["source"]
    return source


def _parse_rules(stage: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise data.TableError(f"rules/{stage}.toml: {error}") from error
