"""A release's own definitions by canonical url, as shipped in the wheel.  https://hl7.org/fhir/R4/downloads.html

Written by `tools/distil_canonicals.py` without prose and with abbreviated snapshots, which are
expanded here.
"""

from decimal import Decimal
from functools import cache, cached_property, lru_cache
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from fhir_b12 import data
from fhir_b12.definitions.archive import Archive, ArchiveEntry
from fhir_b12.definitions.release import Release

Json = dict[str, Any]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class CoreDefinitions:
    """Definitions of a release, read from its folder when first needed."""

    def __init__(self, folder: Traversable) -> None:
        """Name the folder of `canonicals.json.gz`; no file is read yet."""
        self._folder = folder
        self._resource = cache(self._read_resource)

    @cached_property
    def entries(self) -> dict[str, dict[str, ArchiveEntry]]:
        """Index of all resources: type -> url -> archive entry."""
        index: dict[str, dict[str, ArchiveEntry]] = {}
        for entry in self._archive.entries:
            if entry.url:
                index.setdefault(entry.resource_type, {})[entry.url] = entry
        return index

    def resource(self, resource_type: str, url: str) -> Json | None:
        """Return a resource, None if unknown; it is shared and must not be changed."""
        return self._resource(resource_type, url)

    def is_type(self, url: str) -> bool:
        """Return True for the url of a resource type or data type, not of a profile."""
        definition = self.resource("StructureDefinition", url)
        return definition is not None and definition.get("derivation") != "constraint"

    def _read_resource(self, resource_type: str, url: str) -> Json | None:
        entry = self.entries.get(resource_type, {}).get(url)
        if entry is None:
            return None
        definition: Json = _decode(self._archive.text(entry))
        if "snapshot" in definition:
            snapshot = definition["snapshot"]
            snapshot["element"] = [self._expand_element(row) for row in snapshot["element"]]
        return definition

    def _expand_element(self, element: Json) -> Json:
        """Return a full ElementDefinition from one without values that can be derived."""
        path = element["path"]
        expanded = {"id": path, "min": 0, "max": "1"} | element
        own = {"path": path, "min": expanded["min"], "max": expanded["max"]}
        expanded.setdefault("base", own)
        if "constraint" in element:
            expanded["constraint"] = [self._constraints[name] for name in element["constraint"]]
        return expanded

    @cached_property
    def _constraints(self) -> dict[str, Json]:
        """The constraints of all snapshots by name."""
        shared = next(entry for entry in self._archive.entries if not entry.url)
        constraints: dict[str, Json] = _decode(self._archive.text(shared))
        return constraints

    @cached_property
    def _archive(self) -> Archive:
        return Archive(data.read(self._folder, "canonicals.json.gz"))


@lru_cache(maxsize=8)
def definitions_of(release: Release) -> CoreDefinitions:
    """Return the definitions of a release, one object for each."""
    return CoreDefinitions(release.folder)
