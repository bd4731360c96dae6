"""R4's vital signs, known by their codes.  https://hl7.org/fhir/R4/observation-vitalsigns.html

An Observation whose code is that of a vital sign must conform to the profile of it whether it says
so or not. The codes stand in `mappings/vital_sign_profiles.toml`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fhir_b12 import data
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE


def implied_profiles(resource: dict[str, Any]) -> tuple[str, ...]:
    """The urls of the profiles a resource must conform to for what it is; none for most."""
    if resource.get("resourceType") != "Observation":
        return ()
    codings = resource.get("code", {}).get("coding", ())
    if not codings:
        return ()
    said = {(coding.get("system"), coding.get("code")) for coding in codings}
    for _, codes in _profiles():
        hits = said & codes.keys()
        if hits:
            return (STRUCTURE + min(codes[each] for each in hits)[1],)
    return ()


@cache
def _profiles() -> tuple[tuple[str, Mapping[tuple[str, str], tuple[int, str]]], ...]:
    """Of each code system, in the file's order: code -> rank and name of its profile."""
    table = data.toml("vital_sign_profiles.toml")
    ranked: dict[str, dict[tuple[str, str], tuple[int, str]]] = {}
    for rank, (name, systems) in enumerate(table["profiles"].items()):
        for system, codes in systems.items():
            url = table["systems"][system]
            rows = ranked.setdefault(url, {})
            for code in codes:
                rows.setdefault((url, code), (rank, name))
    return tuple((url, ranked[url]) for url in table["systems"].values() if url in ranked)
