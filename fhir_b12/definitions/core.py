"""R4's own canonicals, as they travel in the wheel.  https://hl7.org/fhir/R4/downloads.html

Made by `tools/distil_canonicals.py`: without prose, and the snapshots of types folded, which is
undone here.
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
    """Where each resource stands: type -> url -> place."""
    found: dict[str, dict[str, ArchiveEntry]] = {}
    for each in _archive().entries:
        if each.url:
            found.setdefault(each.kind, {})[each.url] = each
    return found


@cache
def resource(kind: str, url: str) -> Json | None:
    """The resource of that type and url, None where R4 has none; it must not be changed."""
    entry = entries().get(kind, {}).get(url)
    if entry is None:
        return None
    found: Json = _decode(_archive().text(entry))
    if "snapshot" in found:
        found["snapshot"]["element"] = [_unfolded(each) for each in found["snapshot"]["element"]]
    return found


def is_type(url: str) -> bool:
    """True of the url of a resource or data type, not of a profile."""
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
    """An ElementDefinition as R4 has it, from one that says only what cannot be told."""
    path = element["path"]
    whole = {"id": path, "min": 0, "max": "1"} | element
    own = {"path": path, "min": whole["min"], "max": whole["max"]}
    whole.setdefault("base", own)
    if "constraint" in element:
        whole["constraint"] = [_constraints()[name] for name in element["constraint"]]
    return whole
