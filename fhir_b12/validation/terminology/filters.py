"""Conditions on the concepts of a code system.  https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from functools import cached_property
from typing import Any

from fhir_b12.validation.terminology.code_systems import CodeSystem, Concept, Undecided
from fhir_b12.validation.terminology.patterns import LONGEST_TEXT, safe

MOST_MATCHES = 20_000  #: concepts that one pattern is tried on


class Filter:
    """One condition: a property, an operator, a value."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.property, self.op, self.value = (
            str(row.get(name, "")) for name in ("property", "op", "value")
        )

    def codes(self, system: CodeSystem) -> frozenset[str]:
        """The codes of a complete code system that pass.

        Raises:
            Undecided: the filter is not one that R4 defines, or could run for too long.

        """
        by_hierarchy = {
            "is-a": system.below,
            "descendent-of": lambda code: system.below(code) - {code},
            "is-not-a": lambda code: system.codes - system.below(code),
            "generalizes": system.above,
        }.get(self.op)
        if by_hierarchy is not None:
            return by_hierarchy(self.value)
        return frozenset(code for code, each in system.concepts.items() if self._test(each, system))

    def _test(self, concept: Concept, system: CodeSystem) -> bool:
        values = concept.says(self.property)
        match self.op:
            case "=":
                return self.value in values
            case "in":
                return not set(values).isdisjoint(self._several)
            case "not-in":
                return set(values).isdisjoint(self._several)
            case "exists":
                return bool(values) == (self.value == "true")
            case "regex":
                return any(self._matches(value, system) for value in values)
        raise Undecided(f"no filter {self.op!r} is known")

    @cached_property
    def _several(self) -> frozenset[str]:
        return frozenset(each.strip() for each in self.value.split(","))

    def _matches(self, value: str, system: CodeSystem) -> bool:
        pattern = safe(self.value)
        if pattern is None:
            raise Undecided("its pattern could run for too long, or is none")
        if len(value) > LONGEST_TEXT or len(system.concepts) > MOST_MATCHES:
            raise Undecided("there is too much to try its pattern on")
        return pattern.fullmatch(value) is not None
