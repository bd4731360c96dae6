"""Filters of value sets on the concepts of a code system.  https://hl7.org/fhir/R4/valueset-filter-operator.html"""

from functools import cached_property
from typing import Any

from fhir_b12.regular_expressions import MAX_WORK, PatternError, compile_pattern
from fhir_b12.validation.terminology.code_systems import CodeSystem, Concept, Undecided

MAX_TEXT = 200  #: characters of a value that is matched
MAX_MATCHED_CONCEPTS = 20_000  #: concepts that one pattern is matched with


class Filter:
    """One filter: a property, an operator and a value."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.property, self.op, self.value = (
            str(row.get(name, "")) for name in ("property", "op", "value")
        )

    def codes(self, system: CodeSystem) -> frozenset[str]:
        """Return the codes of a complete code system that pass the filter.

        Raises:
            Undecided: R4 does not define the operator, or the pattern could run for too long.

        """
        by_hierarchy = {
            "is-a": system.descendants,
            "descendent-of": lambda code: system.descendants(code) - {code},
            "is-not-a": lambda code: system.codes - system.descendants(code),
            "generalizes": system.ancestors,
        }.get(self.op)
        if by_hierarchy is not None:
            return by_hierarchy(self.value)
        return frozenset(
            code for code, concept in system.concepts.items() if self._passes(concept, system)
        )

    def _passes(self, concept: Concept, system: CodeSystem) -> bool:
        values = concept.property_values(self.property)
        match self.op:
            case "=":
                return self.value in values
            case "in":
                return not set(values).isdisjoint(self._listed_values)
            case "not-in":
                return set(values).isdisjoint(self._listed_values)
            case "exists":
                return bool(values) == (self.value == "true")
            case "regex":
                return any(self._matches(value, system) for value in values)
        raise Undecided(f"the filter operator {self.op!r} is unknown")

    @cached_property
    def _listed_values(self) -> frozenset[str]:
        return frozenset(value.strip() for value in self.value.split(","))

    def _matches(self, value: str, system: CodeSystem) -> bool:
        concepts = len(system.concepts)
        if len(value) > MAX_TEXT or concepts > MAX_MATCHED_CONCEPTS:
            raise Undecided("the pattern of a filter would be matched with too much text")
        try:
            pattern = compile_pattern(self.value)
            if concepts * len(value) * pattern.size > MAX_WORK:
                raise Undecided("the pattern of a filter could run for too long")
            return pattern.fullmatch(value)
        except PatternError as error:
            raise Undecided(str(error)) from None
