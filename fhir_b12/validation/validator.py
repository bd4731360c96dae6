"""Run all stages over what is given.  https://hl7.org/fhir/R4/validation.html"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from fhir_b12 import jsonio
from fhir_b12.dates import DateTime
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.packages import Package, open_package
from fhir_b12.issues import Issue
from fhir_b12.jsonscan import MAX_DEPTH
from fhir_b12.validation import json_text
from fhir_b12.validation.bundle import EntryIndex, check_bundle, check_entry
from fhir_b12.validation.context import NeedsNormalization, ResourceContext
from fhir_b12.validation.findings import Finding, is_error, prepend_path, rules
from fhir_b12.validation.invariants import FUNCTIONS, find_orphans
from fhir_b12.validation.narrative import check_narrative
from fhir_b12.validation.plausibility import check_plausibility, check_together
from fhir_b12.validation.profiles import built_in
from fhir_b12.validation.profiles.checks import check_extensions, check_profile, implied_profiles
from fhir_b12.validation.profiles.unknown_profiles import (
    explain_unknown_profile,
    unknown_profile_finding,
)
from fhir_b12.validation.references import ReferenceCheck, check_attachment
from fhir_b12.validation.report import FindingReporter, Report, json_report, unchecked_issue
from fhir_b12.validation.structure.checks import Check, StructureChecks
from fhir_b12.validation.structure.normalization import Normalizer
from fhir_b12.validation.structure.quick_check import count, is_well_shaped
from fhir_b12.validation.terminology.bindings import (
    check_binding,
    check_codeable_concept,
    check_coding,
    check_identifier,
    check_quantity,
)
from fhir_b12.validation.terminology.service import Terminology

Data = Any  #: a resource as a dict, or its JSON text as str or bytes


#: https://hl7.org/fhir/R4/datatypes.html#quantity and its specializations
_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration")
_CODED = {"Coding": check_coding, **dict.fromkeys(_QUANTITIES, check_quantity)}


class Validator:
    """The rules to check by, compiled as they are needed; to be held on to, in one thread.

    `profiles` are canonical urls to which what is given is held beside those it declares itself,
    `packages` FHIR packages (opened, or a path of a `.tgz` or folder, or `name#version`). `now` is
    the moment after which plausibility takes dates for future ones; without it, it takes none so.

    Raises:
        definitions.packages.PackageError: a package cannot be opened.
        ValueError: a profile that was asked for is not known.

    """

    def __init__(
        self,
        profiles: Iterable[str] = (),
        packages: Iterable[Package | str | FilePath] = (),
        *,
        plausibility: bool = True,
        terminology: bool = True,
        show_values: bool = False,
        switched_off: Iterable[str] = (),
        switched_on: Iterable[str] = (),
        now: DateTime | None = None,
    ) -> None:
        opened = [each if isinstance(each, Package) else open_package(each) for each in packages]
        self.canonicals = Canonicals(opened, built_in.LATE)
        self.terminology = Terminology(self.canonicals)
        self.switched_off = frozenset(switched_off)
        self.switched_on = frozenset(switched_on)
        self.now = now
        self.profiles = self._known(profiles)
        self._plausibility = plausibility
        self._show_values = show_values
        parts = (
            FUNCTIONS,
            self._special(terminology),
            check_binding if terminology else _unbound,
            _CODED if terminology else {},
            ReferenceCheck,
            check_narrative,
        )
        self._quick = StructureChecks(*parts, fast=True)
        self._thorough = StructureChecks(*parts, fast=False)

    def _known(self, profiles: Iterable[str]) -> tuple[str, ...]:
        asked = tuple(profiles)
        for url in asked:
            if self.canonicals.find(url, "StructureDefinition") is None:
                raise ValueError(explain_unknown_profile(url, self.canonicals))
        return asked

    def _special(self, terminology: bool) -> dict[str, tuple[Check, ...]]:
        """What is checked of some types beside their own rules."""
        special: dict[str, tuple[Check, ...]] = {
            "Attachment": (check_attachment,),
            "Bundle.entry": (self._entry,),
            "Parameters.parameter": (self._parameter,),
        }
        if terminology:
            special |= {
                "CodeableConcept": (check_codeable_concept,),
                "Identifier": (check_identifier,),
            }
        return special

    def validate(
        self, data: Data, *, profiles: Iterable[str] = (), positions: bool = False
    ) -> Report:
        """Everything that is wrong with one resource or Bundle; `profiles` hold for it alone.

        Raises:
            ValueError: a profile that was asked for is not known.

        """
        asked = (*self._known(profiles), *self.profiles) if profiles else self.profiles
        if not isinstance(data, str | bytes | bytearray | memoryview):
            return self._report(data, asked, None)
        text, faults = json_text.read(data)
        value = json_text.NOTHING
        try:
            value = jsonio.loads(text)
        except jsonio.JsonError as error:
            faults += error.issues
            value = json_text.parse_leniently(text)
        if value is json_text.NOTHING:
            return json_report(faults)
        # lines are worth their price only where there is something to be found
        return self._report(value, asked, text if positions else None, faults)

    def lines(self, stream: BinaryIO) -> Iterator[tuple[int, Report]]:
        """The line number and the report of each resource of NDJSON, one line in memory."""
        for number, value in jsonio.read_lines(stream):
            if isinstance(value, jsonio.JsonError):
                yield number, json_report(value.issues)
            else:
                yield number, self._report(value, self.profiles, None)

    def conforms(self, context: ResourceContext, profile: str, found: list[Finding]) -> bool | None:
        """Check a whole resource against a profile; None where the profile is not known."""
        if self.canonicals.find(profile, "StructureDefinition") is None:
            return None
        mark = len(found)
        check_profile(context.resource, profile, context, found)
        return not any(is_error(each) for each in found[mark:])

    # --- one validation

    def _report(
        self,
        value: Any,
        asked: tuple[str, ...],
        text: bytes | None,
        faults: tuple[Issue, ...] = (),
    ) -> Report:
        self.terminology.forget_unchecked()
        found: list[Finding] = []
        shaping = Normalizer()
        if not self._is_quick(value, asked, found):
            found = []
            if json_text.is_too_deep(value):
                return Report((_too_deep(),))
            shaped = shaping.resource(value)
            if shaped is not None:
                self._resource(ResourceContext(shaped, self), found, asked)
        told: tuple[Issue, ...] = ()
        if shaping.found or found:
            lines = None if text is None else json_text.lines(text)
            telling = FindingReporter(value, shaping, lines, show_values=self._show_values)
            told = telling.issues(shaping.found, found)
        told = (*json_report(faults), *told)
        return Report(told, unchecked=self._unchecked(value), resources=count(value))

    def _is_quick(self, value: Any, asked: tuple[str, ...], found: list[Finding]) -> bool:
        """Whether the value is well shaped, so that all has been found that is wrong with it."""
        if not is_well_shaped(value):
            return False
        try:
            self._resource(ResourceContext(value, self, fast=True), found, asked)
        except NeedsNormalization:
            return False
        return True

    def _unchecked(self, value: Any) -> tuple[Issue, ...]:
        root = value.get("resourceType", "$this") if isinstance(value, dict) else "$this"
        return tuple(
            _left_unchecked(each.canonical, each.reason, root)
            for each in self.terminology.unchecked
        )

    # --- one resource

    def _resource(
        self, context: ResourceContext, found: list[Finding], asked: tuple[str, ...] = ()
    ) -> None:
        resource = context.resource
        structure = self._quick if context.fast else self._thorough
        structure.check(context.type)(resource, context, found)
        if "contained" in resource:
            self._contained(context, found)
        if context.type == "Bundle":
            self._bundle(context, found)
        if context.extension_lists:
            check_extensions(resource, context, found)
        self._profiles(context, found, asked)
        if self._plausibility:
            check_plausibility(resource, context, found)

    def _profiles(
        self, context: ResourceContext, found: list[Finding], asked: tuple[str, ...]
    ) -> None:
        """The profiles it declares, those that were asked for, and those its content implies."""
        resource = context.resource
        urls = dict.fromkeys(asked)
        declared = resource.get("meta", {}).get("profile", ())
        for index, url in enumerate(declared):
            if url is None or url in urls:
                continue
            if self.canonicals.find(url, "StructureDefinition") is None:
                path = ("meta", "profile", index)
                found.append(unknown_profile_finding(url, self.canonicals, *path))
            else:
                urls[url] = None
        urls |= dict.fromkeys(implied_profiles(resource))
        for url in urls:
            check_profile(resource, url, context, found)

    def _contained(self, context: ResourceContext, found: list[Finding]) -> None:
        """Contained resources, each for itself and as contained."""
        contained = context.resource["contained"]
        seen: set[str] = set()
        lost: set[int] = set()
        if not all(each.get("id") in context.referenced_ids for each in contained):
            lost = set(find_orphans(context.resource))
        for index, each in enumerate(contained):
            mark = len(found)
            name = each.get("id")
            if not isinstance(name, str):
                found.append(Finding("contained-id"))
            elif name in seen:
                found.append(Finding("contained-twice"))
            seen.add(str(name))
            if index in lost:
                found.append(Finding("contained-orphan"))
            here = context.contained().get(str(name))
            if here is None or here.resource is not each:
                here = ResourceContext(each, self, container=context.root, fast=context.fast)
            self._resource(here, found)
            prepend_path(found, mark, "contained", index)

    def _bundle(self, context: ResourceContext, found: list[Finding]) -> None:
        entries = context.entries(EntryIndex)
        assert isinstance(entries, EntryIndex)
        check_bundle(context.resource, entries, found)
        if not self._plausibility:
            return
        places = [index for index, each in enumerate(entries.contexts) if each is not None]
        together: list[list[Finding]] = [[] for _ in places]
        check_together([each for each in entries.contexts if each is not None], together)
        for index, advice in zip(places, together, strict=True):
            prepend_path(advice, 0, "entry", index, "resource")
            found += advice

    def _entry(self, entry: Any, bundle: ResourceContext, found: list[Finding]) -> None:
        """The resource of an entry, which stands in its own surroundings."""
        check_entry(entry, bundle.resource.get("type"), found)
        resource = entry.get("resource")
        if resource is not None:
            entries = bundle.entries(EntryIndex)
            assert isinstance(entries, EntryIndex)
            here = entries.of(resource)
            mark = len(found)
            self._resource(here, found)
            prepend_path(found, mark, "resource")
            if id(here) in entries.without_url:
                found.append(Finding("entry-without-fullurl"))
        outcome = entry.get("response", {}).get("outcome")
        if outcome is not None:
            self._alone(outcome, bundle, found, "response", "outcome")

    def _parameter(self, parameter: Any, holder: ResourceContext, found: list[Finding]) -> None:
        if "resource" in parameter:
            self._alone(parameter["resource"], holder, found, "resource")

    def _alone(self, node: Any, holder: ResourceContext, found: list[Finding], *steps: str) -> None:
        """A resource in another to which it has no ties."""
        mark = len(found)
        self._resource(ResourceContext(node, self, fast=holder.fast), found)
        prepend_path(found, mark, *steps)


@lru_cache(maxsize=1024)
def _left_unchecked(canonical: str, reason: str, root: str) -> Issue:
    """The same few are left out of most reports."""
    return unchecked_issue(f"{canonical}: {reason}", root)


def _too_deep() -> Issue:
    rule = rules()["too-deep"]
    said = rule.message.format(limit=MAX_DEPTH)
    return Issue(rule.severity, rule.code, "$this", said, rule=rule.id, stage=rule.stage)


def _unbound(*_: Any) -> None:
    """No binding is looked at where terminology is not asked for."""
