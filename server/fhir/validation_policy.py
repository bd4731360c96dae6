"""What a resource must satisfy before it is stored.  https://hl7.org/fhir/R4/validation.html"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError
from fhir_b12.server.resource_types import TYPES
from fhir_b12.validation import Validator

Json = dict[str, Any]
#: stages with the rules of R4 itself, and such rules of other stages; the rest is of profiles
_BASE_STAGES = frozenset({"json", "structure", "invariants", "references", "narrative", "bundle"})
_BASE_RULES = frozenset({"required-binding", "required-coding"})
_PLAUSIBILITY = "plausibility"
_NARRATIVE_LINK = "narrative-url-literal"  #: `urn:uuid:…`, which a transaction resolves


class _BaseValidator(Validator):
    """Validator of R4's own rules, without profiles."""

    def _profiles(self, *_: Any) -> None:
        """Validate against no profile."""


_VALIDATORS: dict[str, type[Validator]] = {"base": _BaseValidator, "profile": Validator}


class ValidationPolicy:
    """Validates resources by the rules that the settings choose for their type."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # a validator serves one thread at a time; the last used one is taken first: it is warm
        self._idle: dict[str, deque[Validator]] = {rules: deque() for rules in _VALIDATORS}

    def check(self, resource: Json, path: str = "") -> tuple[Issue, ...]:
        """Return the warnings about a resource that may be stored.

        `path` is its FHIRPath in a Bundle, `Bundle.entry[2].resource`.

        Raises:
            RequestError: 422 with all issues if it must not be stored.

        """
        resource_type = resource["resourceType"]
        _require_complete(resource, path or resource_type)
        rules = self._config.check(resource_type)
        if rules == "off":
            return ()
        issues = [
            _relocate(weighted, resource_type, path)
            for issue in self._validate(resource, rules)
            if (weighted := self._apply_settings(issue, resource_type, rules, path)) is not None
        ]
        if any(issue.is_error for issue in issues):
            raise RequestError(422, issues=issues)
        return tuple(issues)

    def check_all(self, rows: Iterable[tuple[Json | None, str]]) -> list[tuple[Issue, ...]]:
        """Return the warnings about each of several resources, given with their paths.

        Raises:
            RequestError: 422 with the errors of all that must not be stored.

        """
        warnings: list[tuple[Issue, ...]] = []
        errors: list[Issue] = []
        for resource, path in rows:
            try:
                warnings.append(self.check(resource, path) if resource else ())
            except RequestError as refusal:
                errors += refusal.issues
        if errors:
            raise RequestError(422, issues=errors)
        return warnings

    def check_patched(self, resource: Any) -> None:
        """Check the result of a patch, which may be any JSON.

        Raises:
            RequestError: 422 if it must not be stored.

        """
        resource_type = resource.get("resourceType") if isinstance(resource, dict) else None
        if resource_type not in TYPES:
            message = "the patched resource has no supported resourceType: do not change it"
            raise RequestError(422, "structure", message)
        self.check(resource)

    @contextmanager
    def validator(self, rules: str = "profile") -> Iterator[Validator]:
        """Provide a validator that no other thread uses; `rules` are `base` or `profile`."""
        idle = self._idle[rules]
        try:
            validator = idle.pop()
        except IndexError:
            validator = _VALIDATORS[rules](packages=self._config.packages)
        try:
            yield validator
        finally:
            idle.append(validator)

    def _validate(self, resource: Json, rules: str) -> list[Issue]:
        with self.validator(rules) as validator:
            return list(validator.validate(resource))

    def _apply_settings(
        self, issue: Issue, resource_type: str, rules: str, path: str
    ) -> Issue | None:
        """Return an issue with the severity that the settings give it, None to ignore it."""
        if issue.stage == _PLAUSIBILITY:
            advice = self._config.advice(resource_type)
            if advice == "off":
                return None
            if advice == "error" and issue.severity == "warning":
                return msgspec.structs.replace(issue, severity="error")
        elif path and issue.rule == _NARRATIVE_LINK:
            return None
        elif rules == "base" and issue.is_error and not is_base_rule(issue):
            return msgspec.structs.replace(issue, severity="warning")
        return issue


def _require_complete(resource: Json, path: str) -> None:
    """Raise 422 for a resource that was read in part: storing it would delete the rest.

    https://hl7.org/fhir/R4/search.html#elements

    Raises:
        RequestError: 422 if the resource is tagged SUBSETTED.

    """
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and tag.get("code") == "SUBSETTED":
            message = "the resource is incomplete (tag SUBSETTED): read all of it and change that"
            raise RequestError(422, "business-rule", message, f"{path}.meta.tag")


def is_base_rule(issue: Issue) -> bool:
    """Return True if an issue breaks a rule of R4 itself, not one of a profile."""
    return issue.stage in _BASE_STAGES or issue.rule in _BASE_RULES


def _relocate(issue: Issue, resource_type: str, path: str) -> Issue:
    """Return an issue located in the Bundle that has the resource at `path`."""
    if not path:
        return issue
    inner = issue.expression.removeprefix(resource_type)
    return msgspec.structs.replace(issue, expression=path + inner)
