"""What a validation found.  https://hl7.org/fhir/R4/operationoutcome.html"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fhir_b12 import data, issues
from fhir_b12.issues import Issue, Severity
from fhir_b12.validation import locations
from fhir_b12.validation.findings import Finding, Path, rules
from fhir_b12.validation.structure.normalization import Normalizer

#: what stands for the values of a finding that are the patient's, unless they are asked for
_HIDDEN = {"value": "the value"}
_HIDDEN_OF: dict[str, dict[str, str]] = {
    "terminology": {"code": "the code", "displays": "its own name"},
}


class Report:
    """The issues of one resource or Bundle in document order, and what was left unchecked."""

    __slots__ = ("_issues", "resources", "unchecked")

    def __init__(
        self, found: tuple[Issue, ...], *, unchecked: tuple[Issue, ...] = (), resources: int = 1
    ) -> None:
        self._issues = found
        self.unchecked = unchecked  #: what could not be decided and why, severity information
        self.resources = resources  #: how many were checked, contained ones and entries too

    def __iter__(self) -> Iterator[Issue]:
        return iter(self._issues)

    def __len__(self) -> int:
        return len(self._issues)

    @property
    def valid(self) -> bool:
        """True where nothing is an error; advice and warnings do not reject."""
        return not any(issue.is_error for issue in self._issues)

    @property
    def worst(self) -> Severity | None:
        """The gravest severity, None where there is no issue."""
        return issues.worst(self._issues)

    @property
    def counts(self) -> Mapping[Severity, int]:
        """How many issues there are of each severity."""
        return Counter(issue.severity for issue in self._issues)

    def outcome(self) -> dict[str, Any]:
        """An OperationOutcome; what was not checked stands in it as information."""
        return issues.outcome((*self._issues, *self.unchecked))

    def __repr__(self) -> str:
        said = ", ".join(f"{number} {severity}" for severity, number in self.counts.items())
        return f"<Report of {self.resources} resources: {said or 'nothing wrong'}>"


class FindingReporter:
    """Turns findings into issues: words, places, lines."""

    def __init__(
        self,
        resource: Any,
        shaping: Normalizer,
        lines: Mapping[Path, tuple[int, int]] | None,
        *,
        show_values: bool = False,
    ) -> None:
        self._resource = resource
        self._renumbered: Mapping[Path, list[int]] = shaping.renumbered
        self._wrapped = shaping.wrapped
        self._lines = lines
        self._show_values = show_values

    def issues(self, shaped: list[Finding], found: list[Finding]) -> tuple[Issue, ...]:
        """Every issue in document order, each once; paths of `shaped` are those of the text."""
        told = [(tuple(reversed(each.path)), each) for each in shaped]
        told += [(self._original(tuple(reversed(each.path))), each) for each in found]
        told.sort(key=lambda each: locations.order(self._resource, each[0]))
        once: dict[tuple[Any, ...], Issue] = {}
        for path, finding in told:
            issue = self._issue(path, finding)
            once.setdefault((issue.severity, issue.rule, issue.pointer, issue.message), issue)
        return tuple(once.values())

    def _original(self, path: Path) -> Path:
        """The path in the text, where items of lists were taken out before the checks."""
        if not self._renumbered:
            return path
        found: list[str | int] = []
        for index, step in enumerate(path):
            kept = self._renumbered.get(path[:index])
            found.append(kept[step] if kept is not None and isinstance(step, int) else step)
        return tuple(found)

    def _written(self, path: Path) -> Path:
        """The path in the text, where one object was read as a list of it."""
        if not self._wrapped:
            return path
        return tuple(
            step
            for index, step in enumerate(path)
            if not (isinstance(step, int) and path[:index] in self._wrapped)
        )

    def _issue(self, path: Path, finding: Finding) -> Issue:
        rule = rules()[finding.rule]
        values = _HIDDEN | finding.values
        if not self._show_values:
            hidden = _HIDDEN | _HIDDEN_OF.get(rule.stage, {})
            values |= {name: text for name, text in hidden.items() if name in values}
        if rule.id == "invariant":
            values |= {"human": data.invariant_words().get(values["key"], values["human"])}
        named = _named(path, rule.at)
        written = self._written(path)
        place = self._line(written)
        pointer = locations.pointer(written)
        return Issue(
            severity=finding.severity or rule.severity,
            code=rule.code,
            expression=self._expression(named),
            message=rule.message.format_map(values),
            rule=finding.values.get("key") or rule.id,
            line=place[0] if place else None,
            column=place[1] if place else None,
            source=finding.values.get("source") or rule.source,
            stage=rule.stage,
            pointer=pointer,
            fix=tuple(_at(each, pointer) for each in finding.fix),
        )

    def _expression(self, path: Path) -> str:
        if not isinstance(self._resource, dict):
            return "$this"
        return locations.fhirpath(self._resource, path)

    def _line(self, path: Path) -> tuple[int, int] | None:
        if self._lines is None:
            return None
        for length in range(len(path), -1, -1):
            place = self._lines.get(path[:length])
            if place is not None:
                return place
        return None


def _at(step: dict[str, Any], pointer: str) -> dict[str, Any]:
    """A step of a fix with whole pointers: "../b" stands beside the place, all else below it."""
    beside = pointer.rpartition("/")[0]
    return step | {
        key: f"{beside}/{step[key][3:]}" if step[key].startswith("../") else pointer + step[key]
        for key in ("path", "from")
        if key in step
    }


def _named(path: Path, at: str) -> Path:
    """The part of a path that the expression of a rule names."""
    if at == "list":
        return path[:-1] if path and isinstance(path[-1], int) else path
    return {"element": path, "parent": path[:-1], "root": ()}[at]


def unchecked_issue(message: str, expression: str, source: str | None = None) -> Issue:
    """What could not be decided, said as information."""
    return Issue("information", "incomplete", expression, message, rule="unchecked", source=source)


def json_report(found: tuple[Issue, ...]) -> Report:
    """The report of a text that could not be read."""
    return Report(tuple(msgspec.structs.replace(each, stage="json") for each in found), resources=0)
