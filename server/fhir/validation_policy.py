"""What is asked of a resource before it is kept.  https://hl7.org/fhir/R4/validation.html"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.server.config import Config
from fhir_b12.server.errors import Refusal, refuse
from fhir_b12.server.resource_types import TYPES
from fhir_b12.validation import Validator

#: what R4 itself forbids: stages, and rules of another stage; the rest is of profiles and codes
_BASE = frozenset({"json", "structure", "invariants", "references", "narrative", "bundle"})
_BASE_RULES = frozenset({"required-binding", "required-coding"})
_ADVICE = "plausibility"
_LINK = "narrative-url-literal"  #: `urn:uuid:…`, which a transaction makes a place


class _OfBase(Validator):
    """Knows R4's own rules, and looks at no profile."""

    def _profiles(self, *_: Any) -> None:
        """No profile is looked at."""


_KINDS: dict[str, type[Validator]] = {"base": _OfBase, "profile": Validator}


class Policy:
    """Holds what is written to the rules that the settings choose for its type."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # a validator serves one thread at a time; the one used last is taken first, for it is warm
        self._idle: dict[str, deque[Validator]] = {rules: deque() for rules in _KINDS}

    def check(self, resource: dict[str, Any], place: str = "") -> tuple[Issue, ...]:
        """What is to be said of a resource that may be kept; Refusal 422 where it may not.

        `place` is where it stands in a Bundle, `Bundle.entry[2].resource`.
        """
        kind = resource["resourceType"]
        _refuse_part(resource, place or kind)
        rules = self._config.check(kind)
        if rules == "off":
            return ()
        weighed = [
            _placed(found, kind, place)
            for issue in self._issues(resource, rules)
            if (found := self._weighed(issue, kind, rules, place)) is not None
        ]
        if any(issue.is_error for issue in weighed):
            raise Refusal(422, weighed)
        return tuple(weighed)

    def check_each(
        self, rows: Iterable[tuple[dict[str, Any] | None, str]]
    ) -> list[tuple[Issue, ...]]:
        """The advice on each of resources and their places; Refusal 422 with all faults of any."""
        advice: list[tuple[Issue, ...]] = []
        wrong: list[Issue] = []
        for resource, place in rows:
            try:
                advice.append(self.check(resource, place) if resource else ())
            except Refusal as refusal:
                wrong += refusal.issues
        if wrong:
            raise Refusal(422, wrong)
        return advice

    def hold(self, resource: Any) -> None:
        """Refuse what may not be kept: the check of a store on what a patch made."""
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if kind not in TYPES:
            raise refuse(422, "structure", "the patch leaves no resource that is kept here")
        self.check(resource)

    @contextmanager
    def validator(self, rules: str = "profile") -> Iterator[Validator]:
        """A validator that nobody else has for now."""
        idle = self._idle[rules]
        try:
            validator = idle.pop()
        except IndexError:
            validator = _KINDS[rules](packages=self._config.packages)
        try:
            yield validator
        finally:
            idle.append(validator)

    def _issues(self, resource: dict[str, Any], rules: str) -> list[Issue]:
        with self.validator(rules) as validator:
            return list(validator.validate(resource))

    def _weighed(self, issue: Issue, kind: str, rules: str, place: str) -> Issue | None:
        """An issue as grave as the settings say."""
        if issue.stage == _ADVICE:
            advice = self._config.advice(kind)
            if advice == "off":
                return None
            if advice == "error" and issue.severity == "warning":
                return msgspec.structs.replace(issue, severity="error")
        elif place and issue.rule == _LINK:
            return None
        elif rules == "base" and issue.is_error and not _is_base(issue):
            return msgspec.structs.replace(issue, severity="warning")
        return issue


def _refuse_part(resource: dict[str, Any], place: str) -> None:
    """What was read in part is not written back, or the rest is lost.

    https://hl7.org/fhir/R4/search.html#elements
    """
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    for tag in tags if isinstance(tags, list) else ():
        if isinstance(tag, dict) and tag.get("code") == "SUBSETTED":
            message = "this is a part of a resource (SUBSETTED); read the whole and change that"
            raise refuse(422, "business-rule", message, f"{place}.meta.tag")


def _is_base(issue: Issue) -> bool:
    return issue.stage in _BASE or issue.rule in _BASE_RULES


def _placed(issue: Issue, kind: str, place: str) -> Issue:
    if not place:
        return issue
    inner = issue.expression.removeprefix(kind)
    return msgspec.structs.replace(issue, expression=place + inner)
