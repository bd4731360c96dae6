"""Run all stages over what is given.  https://hl7.org/fhir/R4/validation.html"""

from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from fhir_b12 import jsonio
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.packages import Package, open_package
from fhir_b12.validation.bundle import Entries, check_bundle, check_entry
from fhir_b12.validation.context import Context
from fhir_b12.validation.findings import Finding, Path, under
from fhir_b12.validation.invariants import FUNCTIONS, orphans
from fhir_b12.validation.references import check_attachment, check_reference
from fhir_b12.validation.report import Report, Telling, of_json
from fhir_b12.validation.shaping import Shaping
from fhir_b12.validation.structure import Structure

Data = Any  #: a resource as a dict, or its JSON text as str or bytes


class Validator:
    """The rules to check by, compiled as they are needed; to be held on to.

    `profiles` are canonical urls every resource of their type is held to, `packages` FHIR packages
    (opened, or a path of a `.tgz` or folder, or `name#version`).

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
    ) -> None:
        opened = [each if isinstance(each, Package) else open_package(each) for each in packages]
        self.canonicals = Canonicals(opened)
        self.profiles = tuple(profiles)
        self._plausibility = plausibility
        self._show_values = show_values
        self._structure = Structure(
            FUNCTIONS,
            {"Attachment": (check_attachment,), "Bundle.entry": (self._entry,)},
            lambda *_: None,
            check_reference,
            lambda *_: None,
        )

    def validate(
        self, data: Data, *, profiles: Iterable[str] = (), positions: bool = False
    ) -> Report:
        """Everything that is wrong with one resource or Bundle; `profiles` hold for it alone."""
        text = data if isinstance(data, str | bytes | bytearray | memoryview) else None
        value = data
        if text is not None:
            try:
                value = jsonio.loads(text)
            except jsonio.JsonError as error:
                return of_json(error.issues)
        lines = jsonio.positions(text) if positions and text is not None else None
        return self._report(value, lines)

    def lines(self, stream: BinaryIO) -> Iterator[tuple[int, Report]]:
        """The line number and the report of each resource of NDJSON, one line in memory."""
        for number, value in jsonio.read_lines(stream):
            if isinstance(value, jsonio.JsonError):
                yield number, of_json(value.issues)
            else:
                yield number, self._report(value, None)

    def _report(self, value: Any, lines: dict[Path, tuple[int, int]] | None) -> Report:
        shaping = Shaping()
        shaped = shaping.resource(value)
        found: list[Finding] = []
        if shaped is not None:
            self._resource(Context(shaped, self), found)
        if not (shaping.found or found):
            return Report(())
        telling = Telling(
            value, renumbered=shaping.renumbered, lines=lines, show_values=self._show_values
        )
        return Report(telling.issues(shaping.found, found))

    # --- one resource

    def _resource(self, context: Context, found: list[Finding]) -> None:
        self._structure.check(context.type)(context.resource, context, found)
        if "contained" in context.resource:
            self._contained(context, found)
        if context.type == "Bundle":
            entries = context.entries(Entries)
            assert isinstance(entries, Entries)
            check_bundle(context.resource, entries, found)

    def _contained(self, context: Context, found: list[Finding]) -> None:
        """Contained resources, each for itself and as contained."""
        contained = context.resource["contained"]
        seen: set[str] = set()
        lost = set(orphans(context.resource))
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
                here = Context(each, self, container=context.root)
            self._resource(here, found)
            under(found, mark, "contained", index)

    def _entry(self, entry: Any, bundle: Context, found: list[Finding]) -> None:
        """The resource of an entry, which stands in its own surroundings."""
        check_entry(entry, bundle.resource.get("type"), found)
        resource = entry.get("resource")
        if resource is None:
            return
        entries = bundle.entries(Entries)
        assert isinstance(entries, Entries)
        here = entries.of(resource)
        mark = len(found)
        self._resource(here, found)
        if len(found) > mark:
            under(found, mark, "resource")
        if id(here) in entries.without_url:
            found.append(Finding("entry-without-fullurl"))

    def conforms(self, context: Context, profile: str, found: list[Finding]) -> bool | None:
        """Check a whole resource against a profile; None where the profile is not known."""
        raise NotImplementedError
