"""Canonical spellings of code systems and units.

The canonical spelling of a code system is its URI (`http://loinc.org`, neither `http://loinc.org/`
nor its OID), that of a unit its UCUM code (`ug` for the text `mcg`).
Data: mappings/codes/systems.toml and mappings/units.toml.
"""

from functools import cache

from fhir_b12 import data

UCUM = "http://unitsofmeasure.org"
_MICRO, _MU = "\u00b5", "\u03bc"  # both look like µ, and senders use both


@cache
def systems() -> dict[str, str]:
    """Return the canonical URI of each alias of a code system."""
    rows = data.toml("codes/systems.toml").values()
    return {alias: row["uri"] for row in rows for alias in row.get("aliases", ())}


@cache
def cased_units() -> dict[str, str]:
    """Return UCUM codes by their lower case form, without those that differ only in case."""
    codes = data.toml("units.toml")["spellings"]
    by_folded: dict[str, str] = {}
    for code in codes:
        folded = code.lower()
        by_folded[folded] = "" if folded in by_folded else code
    return {folded: code for folded, code in by_folded.items() if code}


@cache
def units() -> dict[str, str]:
    """Return the UCUM code of every known text of a unit."""
    spellings: dict[str, list[str]] = data.toml("units.toml")["spellings"]
    known = {text: code for code, texts in spellings.items() for text in (code, *texts)}
    return {text.replace(_MICRO, _MU): code for text, code in known.items()} | known
