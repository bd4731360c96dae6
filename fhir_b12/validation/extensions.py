"""Check extensions by what their urls define.  https://hl7.org/fhir/R4/extensibility.html

An extension whose url nobody here defines is no error, though a modifier that nobody understands
deserves a warning. What is defined says where it may stand, what value it has, and what is in it.
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
from fhir_b12.validation.findings import Finding, prepend_path
from fhir_b12.validation.profiles.discriminators import ElementValue
from fhir_b12.validation.profiles.r4_types import content_type
from fhir_b12.validation.profiles.registry import CompiledProfile, ProfileRegistry, profile_registry
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE, SnapshotElement
from fhir_b12.validation.profiles.value_checks import Findings

_EXTENSIONS = frozenset({"extension", "modifierExtension"})


class Holder(NamedTuple):
    """What an extension stands in."""

    path: str  #: its place in R4 from the resource or data type on: "Patient.name"
    node: Any = None  #: its value; None where it is not at hand
    url: str | None = None  #: of an extension that holds it, or whose value does
    within: bool = False  #: whether it stands in another extension, as a part of it


class Watch(NamedTuple):
    """What one check of extensions needs at every step."""

    profiles: ProfileRegistry
    context: ResourceContext


def check_extensions(resource: dict[str, Any], context: ResourceContext, found: Findings) -> None:
    """All extensions of a resource, but not those of resources within it."""
    watch = Watch(profile_registry(context), context)
    _walk(resource, Holder(context.type, resource), watch, found)


def check_extension(
    extension: dict[str, Any],
    owner_type_path: str,
    context: ResourceContext,
    found: Findings,
    *,
    modifier: bool = False,
    owner: Any = None,
) -> None:
    """One extension of an element at a place in R4, not those within it.

    The longer the path from its resource on, the more contexts of use can be told: of `HumanName`
    it is not known whether it is that of a Patient. Rules in FHIRPath need the owner itself.
    """
    within = owner_type_path.rpartition(".")[2] in {"Extension", "extension", "modifierExtension"}
    url = owner.get("url") if within and isinstance(owner, dict) else None
    holder = Holder(owner_type_path, owner, url, within=within)
    watch = Watch(profile_registry(context), context)
    found += _check(extension, holder, watch, found, modifier=modifier)


def _walk(node: dict[str, Any], holder: Holder, watch: Watch, found: Findings) -> None:
    extension_holders = watch.context.extension_holders
    for name, value in node.items():
        if isinstance(value, dict):
            if id(value) not in extension_holders:
                continue
            mark = len(found)
            above = _step(value, name, holder, watch, found)
            if len(found) > mark:
                prepend_path(found, mark, name)
            found += above
        elif isinstance(value, list):
            wanted = name in _EXTENSIONS
            for index, each in enumerate(value):
                if isinstance(each, dict) and (wanted or id(each) in extension_holders):
                    mark = len(found)
                    above = _step(each, name, holder, watch, found)
                    if len(found) > mark:
                        prepend_path(found, mark, name, index)
                    found += above


def _step(
    value: dict[str, Any], name: str, holder: Holder, watch: Watch, found: Findings
) -> Sequence[Finding]:
    """One object: what is found in it, and what is to be told of its holder."""
    if "resourceType" in value:
        return ()
    if name in _EXTENSIONS:
        above = _check(value, holder, watch, found, modifier=name == "modifierExtension")
        url = value.get("url")
        named = isinstance(url, str)
        below = Holder("Extension", value, url if named else None, within=named)
    else:
        above = ()
        url = holder.url if holder.within and name.lstrip("_").startswith("value") else None
        below = Holder(f"{holder.path}.{name.removeprefix('_')}", value, url)
    _walk(value, below, watch, found)
    return above


# --- one extension


def _check(
    extension: dict[str, Any], holder: Holder, watch: Watch, found: Findings, *, modifier: bool
) -> Sequence[Finding]:
    """One extension; what is wrong with its being there is told of its holder."""
    url = extension.get("url")
    if not isinstance(url, str) or not url:
        found.append(Finding("extension-no-url"))
        return ()
    if ":" not in url:
        if not holder.within:
            found.append(Finding("extension-relative"))
        return ()
    try:
        profile = watch.profiles.find(url.partition("|")[0])
    except DefinitionError as error:
        found.append(Finding("profile-unusable", profile=url, reason=str(error)))
        return ()
    if profile is None or profile.type != "Extension":
        if not _is_example(url):
            rule = "extension-unknown-modifier" if modifier else "extension-unknown"
            found.append(Finding(rule, url=url))
        return ()
    root = watch.profiles.snapshots.root(profile.url)
    assert root is not None
    if "|" in url:
        found.append(Finding("extension-version", url=profile.url))
    if bool(root.definition.get("isModifier", False)) != modifier:
        rule = "extension-modifier" if modifier else "extension-not-modifier"
        found.append(Finding(rule, url=profile.url))
    _check_value(extension, root, profile, found)
    _check_nested(extension, root, profile, found)
    profile.rules.check_whole(ElementValue(extension, None, "Extension"), watch.context, found)
    return _check_use(profile, holder, watch, modifier=modifier)


def _is_example(url: str) -> bool:
    """True of a url that everybody uses in examples; nothing needs to be said of it."""
    return "example.org" in url or "acme.com" in url


def _check_value(
    extension: dict[str, Any], root: SnapshotElement, profile: CompiledProfile, found: Findings
) -> None:
    allowed, least = _value_of(root)
    if profile.url == f"{STRUCTURE}structuredefinition-fhir-type":
        allowed = {*allowed, "uri", "url"}
    kind = _kind_of(extension)
    told: dict[str, Any] = {"url": profile.url, "wanted": ", ".join(sorted(allowed))}
    if kind is not None:
        if kind not in allowed:
            found.append(Finding("extension-type", kind=kind, **told))
    elif "extension" in extension:
        if least > 0 and allowed:
            found.append(Finding("extension-not-complex", **told))
    elif allowed:
        found.append(Finding("extension-no-value", **told))


def _value_of(root: SnapshotElement) -> tuple[set[str], int]:
    """The types that an extension's value may have, and whether it must be there."""
    value = next((each for each in root.children if each.name.startswith("value")), None)
    if value is None or value.definition.get("max") == "0":
        return set(), 0
    return set(value.types), int(value.definition.get("min", 0))


def _kind_of(extension: dict[str, Any]) -> str | None:
    """The type of an extension's value; None where it has none."""
    for name in extension:
        key = name.removeprefix("_")
        if key.startswith("value"):
            element = R4.element(f"Extension.{key}")
            return element.types[0] if element and element.types else key.removeprefix("value")
    return None


def _check_nested(
    extension: dict[str, Any], root: SnapshotElement, profile: CompiledProfile, found: Findings
) -> None:
    """Parts of a complex extension: those with a relative url must be ones it defines."""
    nested = extension.get("extension")
    if not nested:
        return
    known = {
        below.choice("fixed")
        for each in root.children
        if each.name == "extension"
        for below in each.children
        if below.name == "url"
    }
    for index, each in enumerate(nested):
        url = each.get("url")
        if isinstance(url, str) and url and ":" not in url and url not in known:
            found.append(Finding("extension-part", "extension", index, url=profile.url))


# --- where it may stand

#: HL7's validator takes these to be of use here too: https://jira.hl7.org/browse/FHIR-13328
_WIDER = {
    f"{STRUCTURE}structuredefinition-fhir-type": "ElementDefinition.type",
    f"{STRUCTURE}regex": "ElementDefinition.type",
    f"{STRUCTURE}structuredefinition-normative-version": "Element",
    f"{STRUCTURE}capabilitystatement-expectation": "Element",
    f"{STRUCTURE}capabilitystatement-prohibited": "Element",
}
#: in what stands for a value of any kind, any extension may be
_ANYWHERE = tuple(f"ElementDefinition.{name}" for name in ("example.value", "pattern", "fixed"))


def _check_use(
    profile: CompiledProfile, holder: Holder, watch: Watch, *, modifier: bool
) -> Sequence[Finding]:
    """Context of use.  https://hl7.org/fhir/R4/defining-extensions.html#context"""
    contexts = [
        (str(each.get("type")), str(each.get("expression", "")))
        for each in profile.definition.get("context", ())
    ]
    if profile.url in _WIDER:
        contexts.append(("element", _WIDER[profile.url]))
    places = _places(holder.path)
    if any(place.startswith(_ANYWHERE) for place in places):
        return ()
    if not any(_is_here(each, places, holder, watch) for each in contexts):
        wanted = ", ".join(text for _, text in contexts)
        rule = "extension-modifier-place" if modifier else "extension-place"
        return [Finding(rule, url=profile.url, wanted=wanted, place=holder.path)]
    if holder.node is None:
        return ()
    return [
        Finding("extension-condition", url=profile.url, expression=text)
        for text in profile.definition.get("contextInvariant", ())
        if not _holds(text, holder, watch.context)
    ][:1]


def _is_here(
    context: tuple[str, str], places: frozenset[str], holder: Holder, watch: Watch
) -> bool:
    kind, text = context
    if kind == "extension":
        return holder.url == text or (holder.within and holder.node is None)
    if kind == "fhirpath":
        return holder.node is None or _selects(text, holder, watch.context)
    return _is_place(text, places, watch)


def _is_place(text: str, places: frozenset[str], watch: Watch) -> bool:
    """True where an element that a context names is one of these."""
    structure, hash_, name = text.rpartition("#")
    if name in {"Element", "Any"}:
        return True
    context = watch.context
    if hash_ and structure != f"{STRUCTURE}{context.type}":
        there = ElementValue(context.resource, None, context.type, context)
        kind = watch.profiles.snapshots.type_of(structure)
        if kind == context.type and not watch.profiles.conforms_to(there, structure, context):
            return False
    if name.endswith("[x]"):
        stem = name.removesuffix("[x]")
        if any(_is_choice(place, stem) for place in places):
            return True
    return any(name in _inherited(place) for place in places)


def _is_choice(place: str, stem: str) -> bool:
    rest = place.removeprefix(stem) if place.startswith(stem) else ""
    return rest[:1].isupper() and "." not in rest


def _inherited(place: str) -> Iterator[str]:
    """A place, and the same place named from the bases of its type."""
    head, dot, rest = place.partition(".")
    kind: str | None = head
    while kind is not None:
        yield f"{kind}{dot}{rest}"
        kind = R4.base(kind)


@lru_cache(maxsize=2048)
def _places(path: str) -> frozenset[str]:
    """All names of a place: from its resource on, and from each data type it is in.

    `Patient.contact.name.period` is `HumanName.period` and `Period` too.
    """
    names = path.split(".")
    found = {path}
    for length in range(2, len(names) + 1):
        here = ".".join(names[:length])
        inner = content_type(here)
        rest = names[length:]
        if inner != here:
            found.add(".".join([inner, *rest]))
        element = R4.element(here)
        if element is not None and not element.content:
            found |= {".".join([kind, *rest]) for kind in element.types}
            if "." in element.defined and not R4.is_resource(element.defined):
                found.add(".".join([element.defined, *rest]))
    return frozenset(found)


def _holds(text: str, holder: Holder, context: ResourceContext) -> bool:
    try:
        held: bool = compiled(text).holds(
            holder.node, content_type(holder.path), FhirPathEnvironment.of(context)
        )
    except FhirPathError:  # R4's own use %extension, which FHIRPath does not know
        return True
    return held


def _selects(text: str, holder: Holder, context: ResourceContext) -> bool:
    try:
        found: Iterable[Any] = compiled(text).evaluate(
            context.resource, context.type, FhirPathEnvironment.of(context)
        )
    except FhirPathError:
        return False
    return any(each is holder.node or getattr(each, "value", None) is holder.node for each in found)
