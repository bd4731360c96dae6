"""R4's own definitions by canonical url, as shipped in the wheel.  https://hl7.org/fhir/R4/downloads.html

Written by `tools/distil_canonicals.py` without prose and with abbreviated snapshots, which are
expanded here.
"""

from decimal import Decimal
from functools import cache
from typing import Any

import msgspec

from fhir_b12 import data
from fhir_b12.definitions.archive import Archive, ArchiveEntry

Json = dict[str, Any]

TYPES = "http://hl7.org/fhir/StructureDefinition/"
VERSION = "4.0.1"

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


@cache
def entries() -> dict[str, dict[str, ArchiveEntry]]:
    """Return the index of all resources: type -> url -> archive entry."""
    index: dict[str, dict[str, ArchiveEntry]] = {}
    for entry in _archive().entries:
        if entry.url:
            index.setdefault(entry.resource_type, {})[entry.url] = entry
    return index


@cache
def resource(resource_type: str, url: str) -> Json | None:
    """Return a resource by type and url, None if unknown; it is shared and must not be changed."""
    entry = entries().get(resource_type, {}).get(url)
    if entry is None:
        return None
    definition: Json = _decode(_archive().text(entry))
    if "snapshot" in definition:
        snapshot = definition["snapshot"]
        snapshot["element"] = [_expand_element(element) for element in snapshot["element"]]
    return definition


def is_type(url: str) -> bool:
    """Return True for the url of a resource type or data type, not of a profile."""
    definition = resource("StructureDefinition", url)
    return definition is not None and definition.get("derivation") != "constraint"


@cache
def _archive() -> Archive:
    return Archive(data.read(data.definitions(), "canonicals.json.gz"))


@cache
def _constraints() -> dict[str, Json]:
    shared = next(entry for entry in _archive().entries if not entry.url)
    constraints: dict[str, Json] = _decode(_archive().text(shared))
    return constraints


def _expand_element(element: Json) -> Json:
    """Return a full ElementDefinition from one without values that can be derived."""
    path = element["path"]
    expanded = {"id": path, "min": 0, "max": "1"} | element
    own = {"path": path, "min": expanded["min"], "max": expanded["max"]}
    expanded.setdefault("base", own)
    if "constraint" in element:
        expanded["constraint"] = [_constraints()[name] for name in element["constraint"]]
    return expanded
