"""R4's vital signs, identified by their codes.  https://hl7.org/fhir/R4/observation-vitalsigns.html

An Observation with the code of a vital sign must conform to the profile of that vital sign, even if
it does not declare it. The codes are in `mappings/vital_sign_profiles.toml`.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fhir_b12 import data
from fhir_b12.validation.profiles.snapshot_tree import STRUCTURE


def implied_profiles(resource: dict[str, Any]) -> tuple[str, ...]:
    """Return the urls of the profiles that a resource must conform to because of its code."""
    if resource.get("resourceType") != "Observation":
        return ()
    codings = resource.get("code", {}).get("coding", ())
    if not codings:
        return ()
    codes = {(coding.get("system"), coding.get("code")) for coding in codings}
    for ranks in _profiles_by_code():
        matches = codes & ranks.keys()
        if matches:
            return (STRUCTURE + min(ranks[match] for match in matches)[1],)
    return ()


@cache
def _profiles_by_code() -> tuple[Mapping[tuple[str, str], tuple[int, str]], ...]:
    """Return rank and name of the profile of each code; a mapping for each code system."""
    table = data.toml("vital_sign_profiles.toml")
    ranked: dict[str, dict[tuple[str, str], tuple[int, str]]] = {}
    for rank, (name, systems) in enumerate(table["profiles"].items()):
        for system, codes in systems.items():
            url = table["systems"][system]
            rows = ranked.setdefault(url, {})
            for code in codes:
                rows.setdefault((url, code), (rank, name))
    return tuple(ranked[url] for url in table["systems"].values() if url in ranked)
