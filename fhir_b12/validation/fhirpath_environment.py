"""What FHIRPath may ask about beyond its own node, answered from a Context.

https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from typing import Any

from fhir_b12.validation.bundle import EntryIndex
from fhir_b12.validation.context import ResourceContext


class FhirPathEnvironment:
    """One resource, what holds it, and what it can point to."""

    __slots__ = ("_context", "resource", "root_resource")

    def __init__(self, context: ResourceContext) -> None:
        self._context = context
        self.resource: dict[str, Any] = context.resource  #: %resource
        self.root_resource: dict[str, Any] = context.root.resource  #: %rootResource

    @classmethod
    def of(cls, context: ResourceContext) -> "FhirPathEnvironment":
        """The one of a context, made when it is first asked for."""
        found: FhirPathEnvironment | None = context.cache.get(cls)
        if found is None:
            found = context.cache[cls] = cls(context)
        return found

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """What a reference points to and its type; None where it is not at hand."""
        target = self._context.resolve(reference)
        if target is None and self._context.type == "Bundle":
            target = self._within(reference)
        return None if target is None else (target.resource, target.type)

    def _within(self, reference: str) -> ResourceContext | None:
        """What a reference means that a rule on a Bundle found somewhere within it."""
        entries = self._context.entries(EntryIndex)
        assert isinstance(entries, EntryIndex)
        if reference.startswith("#"):
            inner = (each.contained().get(reference[1:]) for each in entries.contexts if each)
            return next((each for each in inner if each is not None), None)
        index = entries.like(reference)
        return entries.find(reference, None) or (None if index is None else entries.contexts[index])

    def member_of(self, url: str, item: Any) -> bool | None:
        """Whether a code, Coding or CodeableConcept is in a value set; None: who knows."""
        answer: bool | None = self._context.validator.terminology.contains_any(url, item)
        return answer

    def conforms_to(self, url: str, node: Any) -> bool | None:
        """Whether a resource conforms to a profile; None if it cannot be told."""
        if not (isinstance(node, dict) and "resourceType" in node):
            return None
        context = self._context
        if node is not context.resource:
            context = ResourceContext(
                node, context.validator, bundle_entries=context.bundle_entries
            )
        return context.validator.conforms(context, url, [])
