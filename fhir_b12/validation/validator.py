"""Run all stages of a validation.  https://hl7.org/fhir/R4/validation.html"""

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
from fhir_b12.validation.extensions import check_extensions
from fhir_b12.validation.findings import Finding, is_error, prepend_path, rules
from fhir_b12.validation.invariants import FUNCTIONS, find_orphans
from fhir_b12.validation.narrative import check_narrative
from fhir_b12.validation.plausibility import check_across_resources, check_plausibility
from fhir_b12.validation.profiles import built_in
from fhir_b12.validation.profiles.registry import ProfileRegistry
from fhir_b12.validation.profiles.unknown_profiles import (
    explain_unknown_profile,
    unknown_profile_finding,
)
from fhir_b12.validation.profiles.vital_signs import implied_profiles
from fhir_b12.validation.references import ReferenceCheck, check_attachment
from fhir_b12.validation.report import (
    FindingReporter,
    Report,
    json_issues,
    json_report,
    unchecked_issue,
)
from fhir_b12.validation.structure.checks import StructureChecks
from fhir_b12.validation.structure.combinators import Check
from fhir_b12.validation.structure.normalization import Normalizer
from fhir_b12.validation.structure.quick_check import count_resources, is_well_shaped
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
_CODED_TYPES = {"Coding": check_coding, **dict.fromkeys(_QUANTITIES, check_quantity)}


class Validator:
    """A validator with its rules, profiles and packages; build it once and reuse it.

    One validator serves one thread.

    Attributes:
        canonicals: Definitions of R4, of the packages and of this library.
        terminology: Code systems and value sets.
        compiled_profiles: Profiles and extensions, compiled when they are first needed.
        profiles: Profiles that every resource is checked against.
        now: The moment after which a date lies in the future; None for no such check.

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
        """Open the packages and build the checks.

        Args:
            profiles: Canonical urls of profiles to check besides those that the data declares.
            packages: FHIR packages to load: opened ones, the path of a `.tgz` or folder, or
                `name#version`.
            plausibility: Add advice on clinical values that are probably mistakes.
            terminology: Check codes, displays and units.
            show_values: Name the offending values in messages. They may identify a patient.
            switched_off: Ids of plausibility rules to leave out: "MED-02".
            switched_on: Ids of plausibility rules to run that are off by default.
            now: The moment after which a date lies in the future; None for no such check.

        Raises:
            PackageError: A package cannot be opened.
            ValueError: A profile is unknown.

        """
        opened = [
            package if isinstance(package, Package) else open_package(package)
            for package in packages
        ]
        self.canonicals = Canonicals(opened, built_in.LATE)
        self.terminology = Terminology(self.canonicals)
        self.compiled_profiles = ProfileRegistry(self.canonicals)
        self.switched_off = frozenset(switched_off)
        self.switched_on = frozenset(switched_on)
        self.now = now
        self.profiles = self._require_known(profiles)
        self._plausibility = plausibility
        self._show_values = show_values
        parts = (
            FUNCTIONS,
            self._type_checks(terminology),
            check_binding if terminology else _ignore_binding,
            _CODED_TYPES if terminology else {},
            ReferenceCheck,
            check_narrative,
        )
        self._fast_checks = StructureChecks(*parts, fast=True)
        self._thorough_checks = StructureChecks(*parts, fast=False)

    def _require_known(self, profiles: Iterable[str]) -> tuple[str, ...]:
        """Return the profiles.

        Raises:
            ValueError: A profile is unknown.

        """
        urls = tuple(profiles)
        for url in urls:
            if self.canonicals.find(url, "StructureDefinition") is None:
                raise ValueError(explain_unknown_profile(url, self.canonicals))
        return urls

    def _type_checks(self, terminology: bool) -> dict[str, tuple[Check, ...]]:
        """Return the checks of some types besides their structure and invariants."""
        checks: dict[str, tuple[Check, ...]] = {
            "Attachment": (check_attachment,),
            "Bundle.entry": (self._check_entry,),
            "Parameters.parameter": (self._check_parameter,),
        }
        if terminology:
            checks |= {
                "CodeableConcept": (check_codeable_concept,),
                "Identifier": (check_identifier,),
            }
        return checks

    def validate(
        self, data: Data, *, profiles: Iterable[str] = (), positions: bool = False
    ) -> Report:
        """Validate one resource or Bundle and return a report of all faults.

        Args:
            data: A resource as a dict, or its JSON text as str or bytes.
            profiles: Canonical urls of further profiles, for this call only.
            positions: Add line and column to each issue; only a JSON text has them.

        Returns:
            The report. Invalid data is never an exception.

        Raises:
            ValueError: A profile is unknown.
            TableError: A file that ships with the library is broken.

        """
        all_profiles = self.profiles
        if profiles:
            all_profiles = (*self._require_known(profiles), *self.profiles)
        if not isinstance(data, str | bytes | bytearray | memoryview):
            return self._validate_value(data, all_profiles, None)
        text, faults = json_text.strip_byte_order_mark(data)
        value = json_text.UNREADABLE
        try:
            value = jsonio.loads(text)
        except jsonio.JsonError as error:
            faults += error.issues
            value = json_text.parse_leniently(text)
        if value is json_text.UNREADABLE:
            return json_report(faults)
        # positions are only computed if there is an issue to locate
        return self._validate_value(value, all_profiles, text if positions else None, faults)

    def lines(self, stream: BinaryIO) -> Iterator[tuple[int, Report]]:
        """Validate NDJSON, one line in memory at a time.

        Args:
            stream: Binary stream of lines, one resource each.

        Yields:
            Line number, starting at 1, and report of each resource. Blank lines are skipped.

        """
        for number, value in jsonio.read_lines(stream):
            if isinstance(value, jsonio.JsonError):
                yield number, json_report(value.issues)
            else:
                yield number, self._validate_value(value, self.profiles, None)

    def conforms(
        self, context: ResourceContext, profile: str, findings: list[Finding]
    ) -> bool | None:
        """Check a whole resource against a profile.

        Args:
            context: Context of the resource.
            profile: Canonical url of the profile.
            findings: List to append to.

        Returns:
            True if no finding is an error; None if the profile is unknown.

        """
        if self.canonicals.find(profile, "StructureDefinition") is None:
            return None
        mark = len(findings)
        self.compiled_profiles.check_resource(context.resource, profile, context, findings)
        return not any(is_error(finding) for finding in findings[mark:])

    # --- one validation

    def _validate_value(
        self,
        value: Any,
        profiles: tuple[str, ...],
        text: bytes | None,
        faults: tuple[Issue, ...] = (),
    ) -> Report:
        self.terminology.forget_unchecked()
        normalizer = Normalizer()
        findings = self._check_fast(value, profiles)
        if findings is None:
            findings = []
            if json_text.is_too_deep(value):
                return Report((_too_deep_issue(),))
            normalized = normalizer.normalize(value)
            if normalized is not None:
                self._check_resource(ResourceContext(normalized, self), findings, profiles)
        issues: tuple[Issue, ...] = ()
        if normalizer.findings or findings:
            lines = None if text is None else json_text.locate_values(text)
            reporter = FindingReporter(value, normalizer, lines, show_values=self._show_values)
            issues = reporter.build_issues(normalizer.findings, findings)
        return Report(
            (*json_issues(faults), *issues),
            unchecked=self._unchecked_issues(value),
            resources=count_resources(value),
        )

    def _check_fast(self, value: Any, profiles: tuple[str, ...]) -> list[Finding] | None:
        """Check a value without normalizing it; None if it is malformed."""
        if not is_well_shaped(value):
            return None
        findings: list[Finding] = []
        try:
            self._check_resource(ResourceContext(value, self, fast=True), findings, profiles)
        except NeedsNormalization:
            return None
        return findings

    def _unchecked_issues(self, value: Any) -> tuple[Issue, ...]:
        root = value.get("resourceType", "$this") if isinstance(value, dict) else "$this"
        return tuple(
            _unchecked_canonical(unchecked.canonical, unchecked.reason, root)
            for unchecked in self.terminology.unchecked
        )

    # --- one resource

    def _check_resource(
        self, context: ResourceContext, findings: list[Finding], profiles: tuple[str, ...] = ()
    ) -> None:
        """Run all stages on one resource; paths of findings start at it."""
        resource = context.resource
        structure = self._fast_checks if context.fast else self._thorough_checks
        structure.check(context.type)(resource, context, findings)
        if "contained" in resource:
            self._check_contained(context, findings)
        if context.type == "Bundle":
            self._check_bundle(context, findings)
        if context.extension_lists:
            check_extensions(resource, context, findings)
        self._check_profiles(context, findings, profiles)
        if self._plausibility:
            check_plausibility(resource, context, findings)

    def _check_profiles(
        self, context: ResourceContext, findings: list[Finding], profiles: tuple[str, ...]
    ) -> None:
        """Check the requested profiles, the declared ones, and those that the content implies."""
        resource = context.resource
        urls = dict.fromkeys(profiles)
        declared = resource.get("meta", {}).get("profile", ())
        for index, url in enumerate(declared):
            if url is None or url in urls:
                continue
            if self.canonicals.find(url, "StructureDefinition") is None:
                path = ("meta", "profile", index)
                findings.append(unknown_profile_finding(url, self.canonicals, *path))
            else:
                urls[url] = None
        urls |= dict.fromkeys(implied_profiles(resource))
        for url in urls:
            self.compiled_profiles.check_resource(resource, url, context, findings)

    def _check_contained(self, context: ResourceContext, findings: list[Finding]) -> None:
        """Check each contained resource, its id, and that it is referenced."""
        contained = context.resource["contained"]
        ids: set[str] = set()
        orphans: set[int] = set()
        if not all(resource.get("id") in context.referenced_ids for resource in contained):
            orphans = set(find_orphans(context.resource))
        for index, resource in enumerate(contained):
            mark = len(findings)
            resource_id = resource.get("id")
            if not isinstance(resource_id, str):
                findings.append(Finding("contained-id"))
            elif resource_id in ids:
                findings.append(Finding("contained-twice"))
            ids.add(str(resource_id))
            if index in orphans:
                findings.append(Finding("contained-orphan"))
            inner = context.contained().get(str(resource_id))
            if inner is None or inner.resource is not resource:  # no id, or a duplicate one
                inner = ResourceContext(resource, self, container=context.root, fast=context.fast)
            self._check_resource(inner, findings)
            prepend_path(findings, mark, "contained", index)

    def _check_bundle(self, context: ResourceContext, findings: list[Finding]) -> None:
        """Check the entries of a Bundle together; each by itself is checked by _check_entry."""
        entries = EntryIndex.of(context)
        check_bundle(context.resource, entries, findings)
        if not self._plausibility:
            return
        indices = [index for index, entry in enumerate(entries.contexts) if entry is not None]
        advice_by_entry: list[list[Finding]] = [[] for _ in indices]
        check_across_resources(
            [entry for entry in entries.contexts if entry is not None], advice_by_entry
        )
        for index, advice in zip(indices, advice_by_entry, strict=True):
            prepend_path(advice, 0, "entry", index, "resource")
            findings += advice

    def _check_entry(self, entry: Any, bundle: ResourceContext, findings: list[Finding]) -> None:
        """Check fullUrl, resource and outcome of one entry."""
        check_entry(entry, bundle.resource.get("type"), findings)
        resource = entry.get("resource")
        if resource is not None:
            entries = EntryIndex.of(bundle)
            context = entries.context_of(resource)
            mark = len(findings)
            self._check_resource(context, findings)
            prepend_path(findings, mark, "resource")
            if id(context) in entries.without_url:
                findings.append(Finding("entry-without-fullurl"))
        outcome = entry.get("response", {}).get("outcome")
        if outcome is not None:
            self._check_independent(outcome, bundle, findings, "response", "outcome")

    def _check_parameter(
        self, parameter: Any, owner: ResourceContext, findings: list[Finding]
    ) -> None:
        """Check the resource of one parameter."""
        if "resource" in parameter:
            self._check_independent(parameter["resource"], owner, findings, "resource")

    def _check_independent(
        self, resource: Any, owner: ResourceContext, findings: list[Finding], *steps: str
    ) -> None:
        """Check a resource within another one that it has no references to."""
        mark = len(findings)
        self._check_resource(ResourceContext(resource, self, fast=owner.fast), findings)
        prepend_path(findings, mark, *steps)


@lru_cache(maxsize=1024)
def _unchecked_canonical(canonical: str, reason: str, root: str) -> Issue:
    """Return the issue for a code system or value set; most reports have the same few."""
    return unchecked_issue(f"{canonical}: {reason}", root)


def _too_deep_issue() -> Issue:
    rule = rules()["too-deep"]
    message = rule.message.format(limit=MAX_DEPTH)
    return Issue(rule.severity, rule.code, "$this", message, rule=rule.id, stage=rule.stage)


def _ignore_binding(*_: Any) -> None:
    """Check no binding: terminology is switched off."""
