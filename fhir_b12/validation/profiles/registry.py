"""The compiled profiles of one set of definitions.  https://hl7.org/fhir/R4/profiling.html"""

from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from fhir_b12.data import TableError
from fhir_b12.definitions import R4
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.validation.bundle import EntryIndex
from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Finding, is_error
from fhir_b12.validation.profiles import built_in, errata
from fhir_b12.validation.profiles.compiled import Part
from fhir_b12.validation.profiles.compiler import Compiler
from fhir_b12.validation.profiles.discriminators import Item
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE, Facts, Snapshots
from fhir_b12.validation.profiles.value_checks import Found

_IMPOSED = STRUCTURE + "structuredefinition-imposeProfile"


class Profile:
    """One compiled structure."""

    __slots__ = ("facts", "imposed", "part", "type", "url")

    def __init__(self, url: str, facts: Facts, part: Part) -> None:
        self.url = url
        self.facts = facts  #: the StructureDefinition
        self.part = part
        self.type = str(facts.get("type", ""))
        self.imposed = [
            each["valueCanonical"]
            for each in facts.get("extension", ())
            if each.get("url") == _IMPOSED and isinstance(each.get("valueCanonical"), str)
        ]


class Profiles:
    """Compiles each structure when it is first met."""

    def __init__(self, canonicals: Any) -> None:
        self.snapshots = Snapshots(canonicals)
        self._compiled: dict[str, Profile | DefinitionError | None] = {}

    def find(self, url: str) -> Profile | None:
        """The compiled structure of a url; None where it is not known.

        Raises:
            DefinitionError: it is known and cannot be used.
            TableError: it is one of `profiles/`, which ship with the library.

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
        found = self._compiled[url]
        if isinstance(found, DefinitionError):
            raise found
        return found

    def _compile(self, url: str) -> Profile | None:
        facts = self.snapshots.structures.structure(url)
        root = self.snapshots.root(url)
        if facts is None:
            return None
        if root is None:
            raise DefinitionError(f"{url}: its snapshot has no elements")
        plain = str(facts.get("url", url))
        vital_sign = errata.is_vital_sign(plain, facts.get("baseDefinition"))
        compiler = Compiler(plain, root, self.snapshots, self, vital_sign=vital_sign)
        return Profile(plain, facts, compiler.compile(str(facts.get("type", ""))))

    def check_resource(
        self, node: Any, url: str, context: ResourceContext, found: Found
    ) -> bool | None:
        """A resource, whose context this is, against a profile and those it imposes."""
        done: set[str] = set()
        left = [url]
        while left:
            here = left.pop()
            if here in done:
                continue
            done.add(here)
            try:
                profile = self.find(here)
            except DefinitionError as error:
                found.append(Finding("profile-unusable", profile=here, reason=str(error)))
                continue
            if profile is None:
                if here == url:
                    return None
                found.append(Finding("profile-imposed-unknown", profile=here))
                continue
            left += profile.imposed
            if not _is_of(context.type, profile.type):
                told: dict[str, Any] = {
                    "kind": context.type,
                    "wanted": profile.type,
                    "profile": here,
                }
                found.append(Finding("profile-resource-type", **told))
                continue
            profile.part.check_whole(Item(node, None, context.type), context, found)
        return True

    def check(self, item: Item, url: str, context: ResourceContext, found: Found) -> bool | None:
        """An element, or a resource within another, against a profile; None if it is not known."""
        value = item.value
        if isinstance(value, dict) and "resourceType" in value:
            return self.check_resource(value, url, inner(item, context), found)
        try:
            profile = self.find(url)
        except DefinitionError as error:
            found.append(Finding("profile-unusable", profile=url, reason=str(error)))
            return True
        if profile is None:
            return None
        profile.part.check_whole(item, context, found)
        return True

    def judge(self, item: Item, url: str, context: ResourceContext) -> bool:
        """Whether an item conforms to a profile; one that is not known nobody fails.

        A resource that is being judged already, by way of a circle of references, conforms so far.
        """
        if not (isinstance(item.value, dict) and "resourceType" in item.value):
            found: Found = []
            self.check(item, url, context, found)
            return not any(map(is_error, found))
        here = inner(item, context)
        known: bool | None = here.cache.get(("conforms", url))
        if known is None:
            here.cache["conforms", url] = True
            known = context.validator.conforms(here, url, []) is not False
            here.cache["conforms", url] = known
        return known


def inner(item: Item, context: ResourceContext) -> ResourceContext:
    """The context of a resource: that of an entry, of a contained one, or one of its own."""
    value = item.value
    if item.context is not None and item.context.resource is value:
        return item.context
    if value is context.resource:
        return context
    for each in context.contained().values():
        if each.resource is value:
            return each
    if context.type == "Bundle":
        entries = context.entries(EntryIndex)
        assert isinstance(entries, EntryIndex)
        with suppress(KeyError):
            return entries.of(value)
    return ResourceContext(value, context.validator, bundle_entries=context.bundle_entries)


def _is_of(kind: str, wanted: str) -> bool:
    """True of a resource type or one of its bases."""
    each: str | None = kind
    while each is not None and each != wanted:
        each = R4.base(each)
    return each is not None


_STORES: WeakKeyDictionary[Any, Profiles] = WeakKeyDictionary()


def profiles_of(context: ResourceContext) -> Profiles:
    """The compiled profiles of the definitions a context stands on."""
    canonicals = context.validator.canonicals
    found = _STORES.get(canonicals)
    if found is None:
        found = _STORES[canonicals] = Profiles(canonicals)
    return found
