"""Definitions by their canonical url: R4's own and those of packages.  https://hl7.org/fhir/R4/references.html#canonical

R4's own definitions are part of the wheel, without their prose (`tools/distil_canonicals.py`);
packages are opened by `packages.open_package`. A definition is decoded on first use. Returned
definitions are shared and must not be changed.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from fhir_b12.definitions import R4, snapshots
from fhir_b12.definitions.archive import ArchiveEntry, ArchiveError
from fhir_b12.definitions.core import definitions_of
from fhir_b12.definitions.element_trees import check_elements
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.definitions.packages import Package, version_key, with_dependencies

Json = dict[str, Any]

STRUCTURE = "StructureDefinition"
MAX_NESTED = 40  #: nested base definitions; published profiles have fewer than ten

_decode = msgspec.json.Decoder(float_hook=Decimal).decode

_MAX_CACHED = 10_000  #: canonicals whose definition is remembered


class Canonicals:
    """All known definitions by `url` or `url|version`.

    A url without version finds the newest version; packages cannot replace R4's own types.
    """

    def __init__(
        self,
        packages: Iterable[Package] = (),
        late: Mapping[str, Callable[[], Package]] = MappingProxyType({}),
    ) -> None:
        """Index R4's own definitions, those of the packages and of their dependencies.

        Args:
            packages: The packages to index.
            late: Url prefix -> function that builds a package; called when an otherwise unknown
                url with this prefix is first needed.

        """
        self._late = dict(late)
        self._core = definitions_of(R4)
        loaded = with_dependencies(packages)
        self.packages = loaded.packages  #: the given packages, then their dependencies
        self.missing = loaded.missing  #: missing dependencies: ("hl7.terminology.r4#5.0.0",)
        self.problems = loaded.problems  #: problems of packages, e.g. files that cannot be read
        self._known: dict[str, list[tuple[Package, ArchiveEntry]]] = {}
        for package in self.packages:
            self._index(package)
        self._decoded: dict[tuple[int, ArchiveEntry], Json] = {}
        self._by_canonical: dict[tuple[str, str | None], Json] = {}
        self._structures: dict[str, Json | DefinitionError | None] = {}
        self._generating: list[str] = []  # urls whose snapshots are being generated

    def find(self, canonical: str, resource_type: str | None = None) -> Json | None:
        """Return the definition of a canonical url, None if unknown.

        Args:
            canonical: `url` or `url|version`.
            resource_type: Type of the definition, any if None.

        Raises:
            DefinitionError: The definition cannot be read.

        """
        known = self._by_canonical.get((canonical, resource_type))
        if known is None:
            url, _, version = canonical.partition("|")
            known = self._find(url, version, resource_type)
            if known is not None and len(self._by_canonical) < _MAX_CACHED:
                self._by_canonical[canonical, resource_type] = known
        return known

    def structure(self, canonical: str) -> Json | None:
        """Return the StructureDefinition of a canonical url with its snapshot, None if unknown.

        R4's own types can also be found by name: `structure("Quantity")`.

        Raises:
            DefinitionError: The definition has no snapshot and none can be generated.
            CircleError: The snapshot is being generated and needs itself.

        """
        if canonical not in self._structures:
            try:
                self._structures[canonical] = self._with_snapshot(canonical)
            except snapshots.CircleError:  # depends on the caller, not to be remembered
                raise
            except DefinitionError as error:
                self._structures[canonical] = error
        result = self._structures[canonical]
        if isinstance(result, DefinitionError):
            raise result
        return result

    def value_set(self, canonical: str) -> Json | None:
        """Return the ValueSet of a canonical url, None if unknown."""
        return self.find(canonical, "ValueSet")

    def code_system(self, canonical: str) -> Json | None:
        """Return the CodeSystem of a canonical url, None if unknown."""
        return self.find(canonical, "CodeSystem")

    def urls(self, resource_type: str) -> tuple[str, ...]:
        """Return the urls of all definitions of a type: those of the packages, then R4's own."""
        packaged = [
            entry.url
            for rows in self._known.values()
            for _, entry in rows
            if entry.resource_type == resource_type
        ]
        return tuple(dict.fromkeys([*packaged, *self._core.entries.get(resource_type, {})]))

    def _find(self, url: str, version: str, resource_type: str | None) -> Json | None:
        if self._late and url not in self._known:
            self._add_late_packages(url)
        own = self._find_in_core(url, version, resource_type)
        rows = [
            (package, entry)
            for package, entry in self._known.get(url, ())
            if resource_type in {None, entry.resource_type}
            and version_matches(entry.version, version)
        ]
        newest = max(rows, key=lambda row: version_key(row[1].version), default=None)
        if own is not None and (newest is None or self._overrides(own, newest[1])):
            return self._core.resource(own.resource_type, url)
        return None if newest is None else self._read(*newest)

    def _overrides(self, own: ArchiveEntry, packaged: ArchiveEntry) -> bool:
        """Return True if R4's own definition is that of a type, or of a newer version."""
        is_type = own.resource_type == STRUCTURE and self._core.is_type(own.url)
        return is_type or version_key(own.version) > version_key(packaged.version)

    def _find_in_core(
        self, url: str, version: str, resource_type: str | None
    ) -> ArchiveEntry | None:
        """Return the archive entry of R4's own definition of a url, None if unknown."""
        entries = self._core.entries
        for name in entries if resource_type is None else (resource_type,):
            entry = entries.get(name, {}).get(url)
            if entry is not None and version_matches(entry.version, version):
                return entry
        return None

    def _add_late_packages(self, url: str) -> None:
        for prefix in [prefix for prefix in self._late if url.startswith(prefix)]:
            self._index(self._late.pop(prefix)())

    def _index(self, package: Package) -> None:
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
            url = snapshots.TYPES + url
        definition = self._find(url, version, STRUCTURE)
        if definition is None or _has_snapshot(definition):
            return definition
        if url in self._generating:
            raise snapshots.CircleError(f"{url}: circular snapshot")
        if len(self._generating) >= MAX_NESTED:
            raise DefinitionError(f"{url}: more than {MAX_NESTED} nested base definitions (limit)")
        self._generating.append(url)
        try:
            return snapshots.generate_snapshot(definition, self.structure)
        finally:
            self._generating.pop()


def _has_snapshot(definition: Json) -> bool:
    """Return True for a definition with a snapshot, after checking the snapshot's elements."""
    return bool(definition.get("snapshot")) and bool(check_elements(definition, "snapshot"))


def version_matches(version: str, required: str) -> bool:
    """Return True for the required version or another patch of it (4.0.0 for 4.0.1).

    Any version matches if `required` is "".
    """
    if not required or version == required:
        return True
    parts, required_parts = version.split("."), required.split(".")
    are_numbers = all(part.isdecimal() for part in (*parts[:2], *required_parts[:2]))
    is_long_enough = min(len(parts), len(required_parts)) > 1
    return are_numbers and is_long_enough and parts[:2] == required_parts[:2]
