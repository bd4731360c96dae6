"""Misspelled code systems: known aliases of canonical URIs.

The spellings are aliases and names of `mappings/codes/systems.toml`, in upper or lower case, and
OIDs without `urn:oid:`.
"""

from functools import cache

from fhir_b12 import data

_OID = "urn:oid:"


def canonical_system(spelling: str) -> str | None:
    """Return the canonical URI that a misspelled code system means, None if there is none.

    None is also returned for a spelling that is canonical already.
    """
    canonical = _canonical_by_spelling().get(spelling.strip().lower())
    return None if canonical == spelling else canonical


@cache
def _canonical_by_spelling() -> dict[str, str]:
    """Return canonical URIs by spelling in lower case, OIDs also without `urn:oid:`."""
    canonical = {
        spelling.lower(): row["uri"]
        for row in data.toml("codes/systems.toml").values()
        for spelling in (row["uri"], *row.get("aliases", ()), *row.get("names", ()))
    }
    bare_oids = {
        spelling.removeprefix(_OID): uri
        for spelling, uri in canonical.items()
        if spelling.startswith(_OID)
    }
    return canonical | bare_oids
