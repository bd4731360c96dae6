"""The report of a validation.  https://hl7.org/fhir/R4/operationoutcome.html"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fhir_b12 import data, issues
from fhir_b12.issues import Issue, Severity
from fhir_b12.validation import locations
from fhir_b12.validation.findings import Finding, Path, Rule, rules
from fhir_b12.validation.structure.normalization import Normalizer

#: Texts that replace the patient's values in messages, unless values are requested.
_HIDDEN = {"value": "the value"}
_HIDDEN_IN_STAGE: dict[str, dict[str, str]] = {
    "terminology": {"code": "the code", "displays": "its own name"},
}


class Report:
    """The issues of one resource or Bundle in document order, and what was not checked.

    Iterate over it for its issues; `len(report)` is their number.

    Attributes:
        unchecked: What could not be checked and why, as issues of severity information.
        resources: Number of resources checked, contained ones and entries included.

    """

    __slots__ = ("_issues", "resources", "unchecked")

    def __init__(
        self,
        all_issues: tuple[Issue, ...],
        *,
        unchecked: tuple[Issue, ...] = (),
        resources: int = 1,
    ) -> None:
        """Build a report.

        Args:
            all_issues: The issues, in document order.
            unchecked: What could not be checked, as issues of severity information.
            resources: Number of resources checked.

        """
        self._issues = all_issues
        self.unchecked = unchecked
        self.resources = resources

    def __iter__(self) -> Iterator[Issue]:
        return iter(self._issues)

    def __len__(self) -> int:
        return len(self._issues)

    @property
    def valid(self) -> bool:
        """True if no issue is an error; warnings and advice do not make data invalid."""
        return not any(issue.is_error for issue in self._issues)

    @property
    def worst(self) -> Severity | None:
        """Highest severity; None if there is no issue."""
        return issues.worst(self._issues)

    @property
    def counts(self) -> Mapping[Severity, int]:
        """Number of issues of each severity."""
        return Counter(issue.severity for issue in self._issues)

    def outcome(self) -> dict[str, Any]:
        """Return the report as an OperationOutcome.

        Returns:
            The resource, with an issue of severity information for all that was not checked.

        """
        return issues.outcome((*self._issues, *self.unchecked))

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {severity}" for severity, number in self.counts.items())
        return f"<Report of {self.resources} resources: {counts or 'no issues'}>"


class FindingReporter:
    """Turns findings into issues: adds message, expression, pointer and line."""

    def __init__(
        self,
        resource: Any,
        normalizer: Normalizer,
        lines: Mapping[Path, tuple[int, int]] | None,
        *,
        show_values: bool = False,
    ) -> None:
        """Build a reporter for one value.

        Args:
            resource: The value as it was given.
            normalizer: The normalizer that changed it before the checks.
            lines: Line and column by path; None if positions are not requested.
            show_values: Name a patient's values in messages.

        """
        self._resource = resource
        self._original_indices: Mapping[Path, list[int]] = normalizer.original_indices
        self._wrapped = normalizer.wrapped
        self._lines = lines
        self._show_values = show_values

    def build_issues(
        self, shape_findings: list[Finding], findings: list[Finding]
    ) -> tuple[Issue, ...]:
        """Return an issue for each finding, in document order and without duplicates.

        Args:
            shape_findings: Findings of the normalizer, whose paths are those of the text.
            findings: Findings of the checks, whose paths are those of the normalized resource.

        """
        located = [(tuple(reversed(finding.path)), finding) for finding in shape_findings]
        located += [
            (self._original_path(tuple(reversed(finding.path))), finding) for finding in findings
        ]
        located.sort(key=lambda pair: locations.order(self._resource, pair[0]))
        unique: dict[tuple[Any, ...], Issue] = {}
        for path, finding in located:
            issue = self._build_issue(path, finding)
            unique.setdefault((issue.severity, issue.rule, issue.pointer, issue.message), issue)
        return tuple(unique.values())

    def _original_path(self, path: Path) -> Path:
        """Return the path in the text; the normalizer may have removed items of lists."""
        if not self._original_indices:
            return path
        steps: list[str | int] = []
        for index, step in enumerate(path):
            indices = self._original_indices.get(path[:index])
            steps.append(indices[step] if indices is not None and isinstance(step, int) else step)
        return tuple(steps)

    def _unwrapped_path(self, path: Path) -> Path:
        """Return the path in the text; the normalizer may have put an object into a list."""
        if not self._wrapped:
            return path
        return tuple(
            step
            for index, step in enumerate(path)
            if not (isinstance(step, int) and path[:index] in self._wrapped)
        )

    def _build_issue(self, path: Path, finding: Finding) -> Issue:
        rule = rules()[finding.rule]
        text_path = self._unwrapped_path(path)
        position = self._position(text_path)
        pointer = locations.pointer(text_path)
        return Issue(
            severity=finding.severity or rule.severity,
            code=rule.code,
            expression=self._expression(_named_path(path, rule.at)),
            message=rule.message.format_map(self._message_values(rule, finding)),
            rule=finding.values.get("key") or rule.id,
            line=position[0] if position else None,
            column=position[1] if position else None,
            source=finding.values.get("source") or rule.source,
            stage=rule.stage,
            pointer=pointer,
            fix=tuple(_absolute_patch(step, pointer) for step in finding.fix),
        )

    def _message_values(self, rule: Rule, finding: Finding) -> dict[str, Any]:
        """Return the values of a message, without those of the patient unless requested."""
        values = _HIDDEN | finding.values
        if not self._show_values:
            hidden = _HIDDEN | _HIDDEN_IN_STAGE.get(rule.stage, {})
            values |= {name: text for name, text in hidden.items() if name in values}
        if rule.id == "invariant":
            values |= {"human": data.invariant_messages().get(values["key"], values["human"])}
        return values

    def _expression(self, path: Path) -> str:
        if not isinstance(self._resource, dict):
            return "$this"
        return locations.fhirpath(self._resource, path)

    def _position(self, path: Path) -> tuple[int, int] | None:
        """Return line and column of a path, or of the nearest owner that is in the text."""
        if self._lines is None:
            return None
        for length in range(len(path), -1, -1):
            position = self._lines.get(path[:length])
            if position is not None:
                return position
        return None


def _absolute_patch(step: dict[str, Any], pointer: str) -> dict[str, Any]:
    """Return a step of a fix with pointers from the root; "../b" is a sibling of the location."""
    parent = pointer.rpartition("/")[0]
    return step | {
        key: f"{parent}/{step[key][3:]}" if step[key].startswith("../") else pointer + step[key]
        for key in ("path", "from")
        if key in step
    }


def _named_path(path: Path, at: str) -> Path:
    """Return the part of a path that the expression of a rule names."""
    if at == "list":
        return path[:-1] if path and isinstance(path[-1], int) else path
    return {"element": path, "parent": path[:-1], "root": ()}[at]


def unchecked_issue(message: str, expression: str, source: str | None = None) -> Issue:
    """Return the issue for something that could not be checked."""
    return Issue("information", "incomplete", expression, message, rule="unchecked", source=source)


def json_issues(faults: tuple[Issue, ...]) -> tuple[Issue, ...]:
    """Return the issues of a JSON text with their stage."""
    return tuple(msgspec.structs.replace(issue, stage="json") for issue in faults)


def json_report(faults: tuple[Issue, ...]) -> Report:
    """Return the report of a text that could not be parsed."""
    return Report(json_issues(faults), resources=0)
