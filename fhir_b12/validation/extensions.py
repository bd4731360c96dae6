"""Check extensions against their definitions.  https://hl7.org/fhir/R4/extensibility.html

A definition states where an extension is allowed, the types of its value, and its parts. An
unknown extension is no error, but an unknown modifier extension gets a warning.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_b12.definitions import R4
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.fhirpath import FhirPathError
from fhir_b12.fhirpath import compile as compiled
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.fhirpath_environment import FhirPathEnvironment
from fhir_b12.validation.findings import Finding, Findings, prepend_path
from fhir_b12.validation.profiles.element_values import ElementValue
from fhir_b12.validation.profiles.r4_types import content_type
from fhir_b12.validation.profiles.registry import CompiledProfile, ProfileRegistry
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE, SnapshotElement

_EXTENSIONS = frozenset({"extension", "modifierExtension"})


class Owner(NamedTuple):
    """The element that an extension is in."""

    path: str  #: path in R4 from the resource or data type: "Patient.name"
    node: Any
    url: str | None = None  #: url of the extension that the element is, or is the value of
    in_extension: bool = False  #: the element is an extension itself


class ExtensionScope(NamedTuple):
    """The definitions and the resource that extensions are checked with."""

    profiles: ProfileRegistry
    context: ResourceContext


def check_extensions(
    resource: dict[str, Any], context: ResourceContext, findings: Findings
) -> None:
    """Check all extensions of a resource, without those of resources within it."""
    scope = ExtensionScope(context.validator.compiled_profiles, context)
    _visit(resource, Owner(context.type, resource), scope, findings)


def _visit(node: dict[str, Any], owner: Owner, scope: ExtensionScope, findings: Findings) -> None:
    """Check the extensions in an object; only objects that have some are visited."""
    extension_holders = scope.context.extension_holders
    for name, value in node.items():
        if isinstance(value, dict):
            if id(value) not in extension_holders:
                continue
            mark = len(findings)
            owner_findings = _visit_member(value, name, owner, scope, findings)
            if len(findings) > mark:
                prepend_path(findings, mark, name)
            findings += owner_findings
        elif isinstance(value, list):
            are_extensions = name in _EXTENSIONS
            for index, item in enumerate(value):
                if isinstance(item, dict) and (are_extensions or id(item) in extension_holders):
                    mark = len(findings)
                    owner_findings = _visit_member(item, name, owner, scope, findings)
                    if len(findings) > mark:
                        prepend_path(findings, mark, name, index)
                    findings += owner_findings


def _visit_member(
    value: dict[str, Any], name: str, owner: Owner, scope: ExtensionScope, findings: Findings
) -> Sequence[Finding]:
    """Check one object; return the findings whose location is its owner."""
    if "resourceType" in value:
        return ()
    if name in _EXTENSIONS:
        owner_findings = _check(value, owner, scope, findings, modifier=name == "modifierExtension")
        url = value.get("url")
        has_url = isinstance(url, str)
        inner = Owner("Extension", value, url if has_url else None, in_extension=has_url)
    else:
        owner_findings = ()
        is_value = owner.in_extension and name.lstrip("_").startswith("value")
        inner = Owner(
            f"{owner.path}.{name.removeprefix('_')}", value, owner.url if is_value else None
        )
    _visit(value, inner, scope, findings)
    return owner_findings


# --- one extension


def _check(
    extension: dict[str, Any],
    owner: Owner,
    scope: ExtensionScope,
    findings: Findings,
    *,
    modifier: bool,
) -> Sequence[Finding]:
    """Check one extension; return the findings on its context of use, located at its owner."""
    url = extension.get("url")
    if not isinstance(url, str) or not url:
        findings.append(Finding("extension-no-url"))
        return ()
    if ":" not in url:
        if not owner.in_extension:
            findings.append(Finding("extension-relative"))
        return ()
    try:
        profile = scope.profiles.find(url.partition("|")[0])
    except DefinitionError as error:
        findings.append(Finding("profile-unusable", profile=url, reason=str(error)))
        return ()
    if profile is None or profile.type != "Extension":
        if not _is_example(url):
            rule = "extension-unknown-modifier" if modifier else "extension-unknown"
            findings.append(Finding(rule, url=url))
        return ()
    root = scope.profiles.snapshots.root(profile.url)
    assert root is not None
    if "|" in url:
        findings.append(Finding("extension-version", url=profile.url))
    if bool(root.definition.get("isModifier", False)) != modifier:
        rule = "extension-modifier" if modifier else "extension-not-modifier"
        findings.append(Finding(rule, url=profile.url))
    _check_value(extension, root, profile, findings)
    _check_nested(extension, root, profile, findings)
    profile.rules.check_whole(ElementValue(extension, None, "Extension"), scope.context, findings)
    return _check_context_of_use(profile, owner, scope, modifier=modifier)


def _is_example(url: str) -> bool:
    """Return True for a url that only occurs in examples."""
    return "example.org" in url or "acme.com" in url


def _check_value(
    extension: dict[str, Any], root: SnapshotElement, profile: CompiledProfile, findings: Findings
) -> None:
    allowed, least = _allowed_value_types(root)
    if profile.url == f"{STRUCTURE}structuredefinition-fhir-type":
        allowed = {*allowed, "uri", "url"}
    actual = _value_type(extension)
    values: dict[str, Any] = {"url": profile.url, "allowed": ", ".join(sorted(allowed))}
    if actual is not None:
        if actual not in allowed:
            findings.append(Finding("extension-type", actual=actual, **values))
    elif "extension" in extension:
        if least > 0 and allowed:
            findings.append(Finding("extension-not-complex", **values))
    elif allowed:
        findings.append(Finding("extension-no-value", **values))


def _allowed_value_types(root: SnapshotElement) -> tuple[set[str], int]:
    """Return the types that an extension's value may have, and its min."""
    value = next((child for child in root.children if child.name.startswith("value")), None)
    if value is None or value.max == 0:
        return set(), 0
    return set(value.types), value.min


def _value_type(extension: dict[str, Any]) -> str | None:
    """Return the type of an extension's value; None if it has no value."""
    for name in extension:
        key = name.removeprefix("_")
        if key.startswith("value"):
            element = R4.element(f"Extension.{key}")
            return element.types[0] if element and element.types else key.removeprefix("value")
    return None


def _check_nested(
    extension: dict[str, Any], root: SnapshotElement, profile: CompiledProfile, findings: Findings
) -> None:
    """Check the parts of a complex extension: a relative url must be one it defines."""
    parts = extension.get("extension")
    if not parts:
        return
    defined = {
        grandchild.choice("fixed")
        for child in root.children
        if child.name == "extension"
        for grandchild in child.children
        if grandchild.name == "url"
    }
    for index, part in enumerate(parts):
        url = part.get("url")
        if isinstance(url, str) and url and ":" not in url and url not in defined:
            findings.append(Finding("extension-part", "extension", index, url=profile.url))


# --- context of use: https://hl7.org/fhir/R4/defining-extensions.html#context

#: Wider contexts that HL7's validator uses for some extensions: https://jira.hl7.org/browse/FHIR-13328
_WIDER_CONTEXTS = {
    f"{STRUCTURE}structuredefinition-fhir-type": "ElementDefinition.type",
    f"{STRUCTURE}regex": "ElementDefinition.type",
    f"{STRUCTURE}structuredefinition-normative-version": "Element",
    f"{STRUCTURE}capabilitystatement-expectation": "Element",
    f"{STRUCTURE}capabilitystatement-prohibited": "Element",
}
#: Elements with a value of any type, in which any extension is allowed.
_UNRESTRICTED = tuple(f"ElementDefinition.{name}" for name in ("example.value", "pattern", "fixed"))


def _check_context_of_use(
    profile: CompiledProfile, owner: Owner, scope: ExtensionScope, *, modifier: bool
) -> Sequence[Finding]:
    contexts = [
        (str(context.get("type")), str(context.get("expression", "")))
        for context in profile.definition.get("context", ())
    ]
    if profile.url in _WIDER_CONTEXTS:
        contexts.append(("element", _WIDER_CONTEXTS[profile.url]))
    names = _element_names(owner.path)
    if any(name.startswith(_UNRESTRICTED) for name in names):
        return ()
    if not any(_matches_context(context, names, owner, scope) for context in contexts):
        allowed = ", ".join(expression for _, expression in contexts)
        rule = "extension-modifier-place" if modifier else "extension-place"
        return [Finding(rule, url=profile.url, allowed=allowed, element=owner.path)]
    return [
        Finding("extension-condition", url=profile.url, expression=expression)
        for expression in profile.definition.get("contextInvariant", ())
        if not _holds(expression, owner, scope.context)
    ][:1]


def _matches_context(
    context: tuple[str, str], names: frozenset[str], owner: Owner, scope: ExtensionScope
) -> bool:
    context_type, expression = context
    if context_type == "extension":
        return owner.url == expression
    if context_type == "fhirpath":
        return _selects_owner(expression, owner, scope.context)
    return _matches_element(expression, names, scope)


def _matches_element(expression: str, names: frozenset[str], scope: ExtensionScope) -> bool:
    """Return True if the element that a context names is one of these."""
    structure, hash_, name = expression.rpartition("#")
    if name in {"Element", "Any"}:
        return True
    context = scope.context
    if hash_ and structure != f"{STRUCTURE}{context.type}":
        resource = ElementValue(context.resource, None, context.type, context)
        constrained_type = scope.profiles.snapshots.type_of(structure)
        if constrained_type == context.type and not scope.profiles.conforms_to(
            resource, structure, context
        ):
            return False
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        if any(_is_choice(element, stem) for element in names):
            return True
    return any(name in _inherited_names(element) for element in names)


def _is_choice(element: str, stem: str) -> bool:
    rest = element.removeprefix(stem) if element.startswith(stem) else ""
    return rest[:1].isupper() and "." not in rest


def _inherited_names(element: str) -> Iterator[str]:
    """Yield an element's name, and its names as an element of the base types."""
    head, dot, rest = element.partition(".")
    type_name: str | None = head
    while type_name is not None:
        yield f"{type_name}{dot}{rest}"
        type_name = R4.base(type_name)


@lru_cache(maxsize=2048)
def _element_names(path: str) -> frozenset[str]:
    """Return all names of an element: from its resource on, and from each of its data types.

    `Patient.contact.name.period` is also `HumanName.period` and `Period`.
    """
    steps = path.split(".")
    names = {path}
    for length in range(2, len(steps) + 1):
        prefix = ".".join(steps[:length])
        inner = content_type(prefix)
        rest = steps[length:]
        if inner != prefix:
            names.add(".".join([inner, *rest]))
        element = R4.element(prefix)
        if element is not None and not element.content:
            names |= {".".join([type_name, *rest]) for type_name in element.types}
            if "." in element.defined and not R4.is_resource(element.defined):
                names.add(".".join([element.defined, *rest]))
    return frozenset(names)


def _holds(expression: str, owner: Owner, context: ResourceContext) -> bool:
    try:
        result: bool = compiled(expression).is_satisfied(
            owner.node, content_type(owner.path), FhirPathEnvironment.of(context)
        )
    except FhirPathError:  # R4 itself uses %extension, which FHIRPath does not define
        return True
    return result


def _selects_owner(expression: str, owner: Owner, context: ResourceContext) -> bool:
    try:
        results: Iterable[Any] = compiled(expression).evaluate(
            context.resource, context.type, FhirPathEnvironment.of(context)
        )
    except FhirPathError:
        return False
    return any(
        result is owner.node or getattr(result, "value", None) is owner.node for result in results
    )
