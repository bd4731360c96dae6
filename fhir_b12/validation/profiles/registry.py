"""The compiled profiles of one set of definitions.  https://hl7.org/fhir/R4/profiling.html"""

from contextlib import suppress
from typing import Any

from fhir_b12.data import TableError
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.bundle import EntryIndex
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, Findings, is_error
from fhir_b12.validation.profiles import built_in, errata
from fhir_b12.validation.profiles.compiler import ProfileCompiler
from fhir_b12.validation.profiles.element_rules import ElementRules
from fhir_b12.validation.profiles.element_values import ElementValue
from fhir_b12.validation.profiles.r4_types import is_subtype
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE, Snapshots

_IMPOSE_PROFILE = STRUCTURE + "structuredefinition-imposeProfile"


class CompiledProfile:
    """One compiled structure: a profile, an extension or a constrained data type."""

    __slots__ = ("definition", "imposed", "rules", "type", "url")

    def __init__(self, url: str, definition: dict[str, Any], rules: ElementRules) -> None:
        """`definition` is the StructureDefinition, `rules` those of its root element."""
        self.url = url
        self.definition = definition
        self.rules = rules
        self.type = str(definition.get("type", ""))
        self.imposed = [
            extension["valueCanonical"]
            for extension in definition.get("extension", ())
            if extension.get("url") == _IMPOSE_PROFILE
            and isinstance(extension.get("valueCanonical"), str)
        ]


class ProfileRegistry:
    """Structures that are compiled on first use."""

    def __init__(self, canonicals: Any) -> None:
        """`canonicals` are the definitions: `definitions.canonicals.Canonicals`."""
        self.snapshots = Snapshots(canonicals)
        self._compiled: dict[str, CompiledProfile | DefinitionError | None] = {}

    def find(self, url: str) -> CompiledProfile | None:
        """Return the compiled structure of a url, None if the url is unknown.

        Raises:
            DefinitionError: The structure cannot be compiled.
            TableError: The same for a file of `profiles/`, which ships with the library.

        """
        if url not in self._compiled:
            try:
                self._compiled[url] = self._compile(url)
            except DefinitionError as error:
                if url.startswith(tuple(built_in.LATE)) and (file := built_in.file_of(url)):
                    raise TableError(f"{file}: {error}: correct the file") from error
                self._compiled[url] = error
            except RecursionError:
                self._compiled[url] = DefinitionError(f"{url}: its elements are nested too deeply")
        compiled = self._compiled[url]
        if isinstance(compiled, DefinitionError):
            raise compiled
        return compiled

    def _compile(self, canonical: str) -> CompiledProfile | None:
        """Compile a structure.

        Raises:
            DefinitionError: The structure has no snapshot with elements.

        """
        definition = self.snapshots.structures.structure(canonical)
        root = self.snapshots.root(canonical)
        if definition is None:
            return None
        if root is None:
            raise DefinitionError(f"{canonical}: its snapshot has no elements")
        url = str(definition.get("url", canonical))
        is_vital_sign = errata.is_vital_sign(url, definition.get("baseDefinition"))
        compiler = ProfileCompiler(url, root, self.snapshots, self, is_vital_sign=is_vital_sign)
        rules = compiler.compile(str(definition.get("type", "")))
        return CompiledProfile(url, definition, rules)

    def check_resource(
        self, node: Any, url: str, context: ResourceContext, findings: Findings
    ) -> bool | None:
        """Check a resource against a profile and the profiles that it imposes.

        Args:
            node: The resource.
            url: Canonical url of the profile.
            context: The context of the resource.
            findings: Findings are appended, with paths that start at the resource.

        Returns:
            True if the profile was checked, whatever the findings; None if it is unknown.

        """
        checked: set[str] = set()
        pending = [url]
        while pending:
            current = pending.pop()
            if current in checked:
                continue
            checked.add(current)
            try:
                profile = self.find(current)
            except DefinitionError as error:
                findings.append(Finding("profile-unusable", profile=current, reason=str(error)))
                continue
            if profile is None:
                if current == url:
                    return None
                findings.append(Finding("profile-imposed-unknown", profile=current))
                continue
            pending += profile.imposed
            if not is_subtype(context.type, profile.type):
                findings.append(
                    Finding(
                        "profile-resource-type",
                        type=context.type,
                        expected=profile.type,
                        profile=current,
                    )
                )
                continue
            item = ElementValue(node, None, context.type)
            profile.rules.check_whole(item, context, findings)
        return True

    def check(
        self, item: ElementValue, url: str, context: ResourceContext, findings: Findings
    ) -> bool | None:
        """Check an element, or a resource within another, against a profile.

        Args:
            item: The element or resource.
            url: Canonical url of the profile.
            context: The context of the resource that contains the element.
            findings: Findings are appended, with paths that start at the element.

        Returns:
            True if the profile was checked, whatever the findings; None if it is unknown.

        """
        value = item.value
        if isinstance(value, dict) and "resourceType" in value:
            return self.check_resource(value, url, context_of(item, context), findings)
        try:
            profile = self.find(url)
        except DefinitionError as error:
            findings.append(Finding("profile-unusable", profile=url, reason=str(error)))
            return True
        if profile is None:
            return None
        profile.rules.check_whole(item, context, findings)
        return True

    def conforms_to(self, item: ElementValue, url: str, context: ResourceContext) -> bool:
        """Return True if a value conforms to a profile, or if the profile is unknown.

        A resource that references itself in a circle conforms if nothing else is wrong.
        """
        if not (isinstance(item.value, dict) and "resourceType" in item.value):
            findings: Findings = []
            self.check(item, url, context, findings)
            return not any(map(is_error, findings))
        own_context = context_of(item, context)
        conforms: bool | None = own_context.cache.get(("conforms", url))
        if conforms is None:
            own_context.cache["conforms", url] = True  # the answer within a circle
            conforms = context.validator.conforms(own_context, url, []) is not False
            own_context.cache["conforms", url] = conforms
        return conforms


def context_of(item: ElementValue, context: ResourceContext) -> ResourceContext:
    """Return the context of a resource: that of an entry, of a contained one, or a new one."""
    value = item.value
    if item.context is not None and item.context.resource is value:
        return item.context
    if value is context.resource:
        return context
    for contained in context.contained().values():
        if contained.resource is value:
            return contained
    if context.type == "Bundle":
        with suppress(KeyError):
            return EntryIndex.of(context).context_of(value)
    return ResourceContext(value, context.validator, bundle_entries=context.bundle_entries)
