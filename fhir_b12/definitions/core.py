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
    found: dict[str, dict[str, ArchiveEntry]] = {}
    for each in _archive().entries:
        if each.url:
            found.setdefault(each.kind, {})[each.url] = each
    return found


@cache
def resource(kind: str, url: str) -> Json | None:
    """Return a resource by type and url, None if unknown; it is shared and must not be changed."""
    entry = entries().get(kind, {}).get(url)
    if entry is None:
        return None
    found: Json = _decode(_archive().text(entry))
    if "snapshot" in found:
        found["snapshot"]["element"] = [_unfolded(each) for each in found["snapshot"]["element"]]
    return found


def is_type(url: str) -> bool:
    """Return True for the url of a resource type or data type, not of a profile."""
    found = resource("StructureDefinition", url)
    return found is not None and found.get("derivation") != "constraint"


@cache
def _archive() -> Archive:
    return Archive(data.read(data.definitions(), "canonicals.json.gz"))


@cache
def _constraints() -> dict[str, Json]:
    shared = next(each for each in _archive().entries if not each.url)
    found: dict[str, Json] = _decode(_archive().text(shared))
    return found


def _unfolded(element: Json) -> Json:
    """Return a full ElementDefinition from one without values that can be derived."""
    path = element["path"]
    whole = {"id": path, "min": 0, "max": "1"} | element
    own = {"path": path, "min": whole["min"], "max": whole["max"]}
    whole.setdefault("base", own)
    if "constraint" in element:
        whole["constraint"] = [_constraints()[name] for name in element["constraint"]]
    return whole
