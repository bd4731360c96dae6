"""Definitions by their canonical url: R4's own and those of packages.  https://hl7.org/fhir/R4/references.html#canonical

R4's own travel in the wheel without their prose (`tools/distil_canonicals.py`); a package is what
`packages.open_package` gives. Nothing is read before it is asked for. What is given out is shared:
it must not be changed.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from fhir_b12.definitions import core, snapshots
from fhir_b12.definitions.archive import ArchiveEntry, ArchiveError
from fhir_b12.definitions.element_trees import check_elements
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.definitions.packages import Package, version_key, with_dependencies

Json = dict[str, Any]

STRUCTURE = "StructureDefinition"
MAX_NESTED = 40  #: definitions that build on each other; published ones are fewer than ten

_decode = msgspec.json.Decoder(float_hook=Decimal).decode

_MOST_FOUND = 10_000  #: urls with versions that are remembered


class Canonicals:
    """Everything that is defined, by `url` or `url|version`.

    Without a version it is the newest that is found by that url; R4's own types are always R4's.
    """

    def __init__(
        self,
        packages: Iterable[Package] = (),
        late: Mapping[str, Callable[[], Package]] = MappingProxyType({}),
    ) -> None:
        """R4's own definitions, the packages' and those of the packages they depend on.

        `late` makes a package when a url that begins so is first asked for, and nobody else has it.
        """
        self._late = dict(late)
        loaded = with_dependencies(packages)
        self.packages = loaded.packages  #: those given, then those they depend on
        self.missing = loaded.missing  #: depended on and not here: ("hl7.terminology.r4#5.0.0",)
        self.problems = loaded.problems  #: files of packages that cannot be read, and why
        self._known: dict[str, list[tuple[Package, ArchiveEntry]]] = {}
        for package in self.packages:
            for entry in package.archive.entries:
                self._known.setdefault(entry.url, []).append((package, entry))
        self._decoded: dict[tuple[int, ArchiveEntry], Json] = {}
        self._found: dict[tuple[str, str | None], Json] = {}
        self._structures: dict[str, Json | DefinitionError | None] = {}
        self._making: list[str] = []  # the snapshots being made just now

    def find(self, canonical: str, kind: str | None = None) -> Json | None:
        """The resource of that url, and of that type where one is asked for; None if unknown.

        Raises:
            DefinitionError: it is known and cannot be read.

        """
        known = self._found.get((canonical, kind))
        if known is None:
            url, _, version = canonical.partition("|")
            known = self._find(url, version, kind)
            if known is not None and len(self._found) < _MOST_FOUND:
                self._found[canonical, kind] = known
        return known

    def structure(self, canonical: str) -> Json | None:
        """The StructureDefinition of that url, with a snapshot; None if unknown.

        R4's own types answer to their names too: `structure("Quantity")`.

        Raises:
            DefinitionError: it is known and has no snapshot, and none can be made.

        """
        if canonical not in self._structures:
            try:
                self._structures[canonical] = self._with_snapshot(canonical)
            except snapshots.CircleError:  # true of this moment only
                raise
            except DefinitionError as error:
                self._structures[canonical] = error
        found = self._structures[canonical]
        if isinstance(found, DefinitionError):
            raise found
        return found

    def value_set(self, canonical: str) -> Json | None:
        """The ValueSet of that url; None if unknown."""
        return self.find(canonical, "ValueSet")

    def code_system(self, canonical: str) -> Json | None:
        """The CodeSystem of that url; None if unknown."""
        return self.find(canonical, "CodeSystem")

    def urls(self, kind: str) -> tuple[str, ...]:
        """The urls of all definitions of a type: first those of the packages, then R4's own."""
        packaged = [
            row[1].url for rows in self._known.values() for row in rows if row[1].kind == kind
        ]
        return tuple(dict.fromkeys([*packaged, *core.entries().get(kind, {})]))

    def _find(self, url: str, version: str, kind: str | None) -> Json | None:
        if self._late and url not in self._known:
            self._fetch(url)
        own = _of_core(url, version, kind)
        rows = [
            (package, entry)
            for package, entry in self._known.get(url, ())
            if kind in {None, entry.kind} and version_matches(entry.version, version)
        ]
        if not rows or (own is not None and own[0] == STRUCTURE and core.is_type(url)):
            return None if own is None else core.resource(own[0], url)
        package, entry = max(rows, key=lambda row: version_key(row[1].version))
        if own is not None and version_key(own[1].version) > version_key(entry.version):
            return core.resource(own[0], url)
        return self._read(package, entry)

    def _fetch(self, url: str) -> None:
        for start in [each for each in self._late if url.startswith(each)]:
            package = self._late.pop(start)()
            for entry in package.archive.entries:
                self._known.setdefault(entry.url, []).append((package, entry))

    def _read(self, package: Package, entry: ArchiveEntry) -> Json:
        key = (id(package), entry)
        if key not in self._decoded:
            try:
                self._decoded[key] = _decode(package.archive.text(entry))
            except (ArchiveError, msgspec.MsgspecError, RecursionError) as error:
                raise DefinitionError(f"{package}: {entry.url} cannot be read: {error}") from error
        return self._decoded[key]

    def _with_snapshot(self, canonical: str) -> Json | None:
        url, _, version = canonical.partition("|")
        if "/" not in url and ":" not in url:
            url = core.TYPES + url
        found = self._find(url, version, STRUCTURE)
        if found is None or _is_whole(found):
            return found
        if url in self._making:
            raise snapshots.CircleError(f"{url}: its snapshot needs itself")
        if len(self._making) >= MAX_NESTED:
            raise DefinitionError(f"{url}: more than {MAX_NESTED} definitions build on each other")
        self._making.append(url)
        try:
            return snapshots.generate_snapshot(found, self.structure)
        finally:
            self._making.pop()


def _is_whole(definition: Json) -> bool:
    """True of a definition with a snapshot, which is looked at."""
    return bool(definition.get("snapshot")) and bool(check_elements(definition, "snapshot"))


def _of_core(url: str, version: str, kind: str | None) -> tuple[str, ArchiveEntry] | None:
    """R4's own definition of that url: its type and where it stands."""
    kinds = core.entries() if kind is None else (kind,)
    for each in kinds:
        entry = core.entries().get(each, {}).get(url)
        if entry is not None and version_matches(entry.version, version):
            return each, entry
    return None


def version_matches(version: str, wanted: str) -> bool:
    """True of the version wanted, any where none is, and another patch of it: 4.0.0 for 4.0.1."""
    if not wanted or version == wanted:
        return True
    here, there = version.split("."), wanted.split(".")
    numbers = all(part.isdecimal() for part in (*here[:2], *there[:2]))
    return numbers and min(len(here), len(there)) > 1 and here[:2] == there[:2]
