"""The environment of FHIRPath expressions: variables, resolve(), memberOf(), conformsTo().

https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from typing import Any

from fhir_b12.validation.bundle import EntryIndex
from fhir_b12.validation.context import ResourceContext


class FhirPathEnvironment:
    """The environment of expressions on one resource, from its context."""

    __slots__ = ("_context", "resource", "root_resource")

    def __init__(self, context: ResourceContext) -> None:
        self._context = context
        self.resource: dict[str, Any] = context.resource  #: %resource
        self.root_resource: dict[str, Any] = context.root.resource  #: %rootResource

    @classmethod
    def of(cls, context: ResourceContext) -> "FhirPathEnvironment":
        """Return the environment of a context; it is built once."""
        environment: FhirPathEnvironment | None = context.cache.get(cls)
        if environment is None:
            environment = context.cache[cls] = cls(context)
        return environment

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """Return the target of a reference and its type; None if it is not available."""
        target = self._context.resolve(reference)
        if target is None and self._context.type == "Bundle":
            target = self._resolve_in_entries(reference)
        return None if target is None else (target.resource, target.type)

    def _resolve_in_entries(self, reference: str) -> ResourceContext | None:
        """Resolve a reference that an expression on a Bundle met in one of its entries."""
        entries = EntryIndex.of(self._context)
        if reference.startswith("#"):
            targets = (entry.contained().get(reference[1:]) for entry in entries.contexts if entry)
            return next((target for target in targets if target is not None), None)
        index = entries.find_by_type_and_id(reference)
        return entries.find(reference, None) or (None if index is None else entries.contexts[index])

    def member_of(self, url: str, item: Any) -> bool | None:
        """Return whether a code, Coding or CodeableConcept is in a value set; None if unknown."""
        result: bool | None = self._context.validator.terminology.contains_any(url, item)
        return result

    def conforms_to(self, url: str, node: Any) -> bool | None:
        """Return whether a resource conforms to a profile; None if it cannot be decided."""
        if not (isinstance(node, dict) and "resourceType" in node):
            return None
        context = self._context
        if node is not context.resource:
            context = ResourceContext(
                node, context.validator, bundle_entries=context.bundle_entries
            )
        return context.validator.conforms(context, url, [])
