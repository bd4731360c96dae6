"""What a check finds: a rule that was broken, the values it speaks of, and the way to the place.

A check gets a node and appends findings whose path starts at that node. Whoever called it with a
part of its own node calls `prepend_path` for what was added, so a path is only built where
something is wrong.

The words of a rule stand in `rules/*.toml`, one file a stage: how grave it is, its FHIR issue code,
what it says, why, and where the specification says so. A patient's value is spoken of as `{value}`
and nothing else; it is shown only where the user asks.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import msgspec

from fhir_b12 import data
from fhir_b12.caching import learned
from fhir_b12.issues import Severity

Path = tuple[str | int, ...]  #: JSON names and indices: ("component", 0, "valueQuantity")


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of fault, as `rules/*.toml` has it."""

    id: str = ""  #: the table's key, "unknown-element"
    stage: str = ""  #: the file's name: "structure", "terminology", ...
    severity: Severity
    code: str  #: https://hl7.org/fhir/R4/valueset-issue-type.html
    message: str  #: what is wrong and the remedy, with {names} of the finding's values
    why: str  #: for those who ask to have it explained
    source: str  #: link to the specification or to the publication
    #: what the expression names, where HL7's validator names less than the exact place
    at: Literal["element", "list", "parent", "root"] = "element"


class Finding:
    """One fault. `path` leads from the node that was checked to the place, last step first."""

    __slots__ = ("fix", "path", "rule", "severity", "values")

    def __init__(
        self,
        rule: str,
        *path: str | int,
        severity: Severity | None = None,
        fix: tuple[dict[str, Any], ...] = (),
        **values: Any,
    ) -> None:
        """`Finding("min", "component", 0, name="code")`: the path is given first step first.

        `severity` is for rules whose gravity the data decides, `fix` a JSON Patch whose paths start
        at the place: `{"op": "replace", "path": "", "value": "final"}`; "../b" stands beside it.
        The value `key` names the rule more exactly than its id does: "obs-6".
        """
        self.rule = rule
        self.path: list[str | int] = [*reversed(path)]
        self.values = values
        self.severity = severity
        self.fix = fix


def prepend_path(found: list[Finding], since: int, *steps: str | int) -> None:
    """Lengthen the paths of what was found since: it stands at these steps below the caller's node.

    `prepend_path(found, mark, "component", 0)`.
    """
    for finding in found[since:]:
        finding.path.extend(reversed(steps))


def is_error(finding: Finding) -> bool:
    """True where a finding makes what it speaks of invalid."""
    return (finding.severity or rules()[finding.rule].severity) in {"fatal", "error"}


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its id.

    Raises:
        data.TableError: a file is not TOML, a rule lacks a part or two have one id.

    """
    known: dict[str, Rule] = {}
    for stage, text in data.rules():
        for name, facts in _parsed(stage, text).items():
            if name in known:
                raise data.TableError(f"rules/{stage}.toml: {name} stands in another file too")
            own = {"id": name, "stage": stage}
            if stage == "plausibility" and "source" not in facts:
                own["source"] = _source(name)
            try:
                known[name] = msgspec.convert(facts | own, learned(Rule))
            except msgspec.ValidationError as error:
                raise data.TableError(f"rules/{stage}.toml: {name}: {error}") from error
    return known


def _source(name: str) -> str:
    """Where the numbers of advice are from; "OBS-03-text" is OBS-03 in other words."""
    source: str = data.toml("plausibility.toml")[name[:6]]["source"]
    return source


def _parsed(stage: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise data.TableError(f"rules/{stage}.toml: {error}") from error
