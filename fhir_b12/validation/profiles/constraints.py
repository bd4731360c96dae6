"""Constraints that loaded profiles define, found by their keys.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint
"""

from collections.abc import Iterator

import msgspec

from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.definitions.packages import Package
from fhir_b12.validation.profiles import built_in
from fhir_b12.validation.terminology.code_systems import objects


class ProfileConstraint(msgspec.Struct, frozen=True, kw_only=True):
    """One constraint of a profile or extension."""

    key: str  #: "us-core-1"
    severity: str  #: "error" or "warning"
    human: str  #: what it demands, in the words of the profile's author
    expression: str  #: FHIRPath; "" if the profile states it in words only
    profile: str  #: url of the StructureDefinition that defines it
    element: str  #: path of the element that it constrains: "Observation.component"
    package: str  #: "hl7.fhir.us.core#6.1.0"


def find_constraints(key: str, canonicals: Canonicals) -> list[ProfileConstraint]:
    """Return the constraints with a key in the loaded packages and in the built-in profiles.

    Args:
        key: The key of a constraint, for example "us-core-1". Upper and lower case matter.
        canonicals: The definitions to search, for example those of a `Validator`.

    Returns:
        One constraint for each profile that defines the key, in the order of the packages. A
        profile that inherits the constraint is not named beside the one that defines it. The
        list is empty if no profile defines the key. R4's own invariants are not searched.

    """
    packages = (*canonicals.packages, built_in.package())
    urls = {entry.url for package in packages for entry in package.archive.entries}
    matches: dict[tuple[str, str], ProfileConstraint] = {}
    for package in packages:
        for constraint in _constraints_of(package, canonicals):
            if constraint.key == key and constraint.profile in urls:
                matches.setdefault((constraint.profile, constraint.expression), constraint)
    defined = {constraint.profile for constraint in matches.values()}
    return [
        constraint
        for constraint in matches.values()
        if not _inherits(constraint.profile, defined, canonicals)
    ]


def constraint_keys(canonicals: Canonicals) -> set[str]:
    """Return the keys of all constraints in the loaded packages and in the built-in profiles."""
    packages = (*canonicals.packages, built_in.package())
    return {c.key for package in packages for c in _constraints_of(package, canonicals)}


def _constraints_of(package: Package, canonicals: Canonicals) -> Iterator[ProfileConstraint]:
    """Yield the constraints of every readable StructureDefinition of a package."""
    for entry in package.archive.entries:
        if entry.resource_type != "StructureDefinition":
            continue
        canonical = f"{entry.url}|{entry.version}" if entry.version else entry.url
        try:
            definition = canonicals.find(canonical, "StructureDefinition")
        except DefinitionError:
            continue
        for view in ("differential", "snapshot"):
            for element in objects((definition or {}).get(view), "element"):
                for row in objects(element, "constraint"):
                    yield ProfileConstraint(
                        key=str(row.get("key", "")),
                        severity=str(row.get("severity", "error")),
                        human=str(row.get("human", "")),
                        expression=str(row.get("expression", "")),
                        profile=str(row.get("source") or entry.url),
                        element=str(element.get("path", "")),
                        package=str(package),
                    )


def _inherits(profile: str, defined: set[str], canonicals: Canonicals) -> bool:
    """Return True if a base of a profile defines the constraint too."""
    visited: set[str] = set()
    url: str | None = profile
    while url is not None and url not in visited:
        visited.add(url)
        try:
            definition = canonicals.find(url, "StructureDefinition")
        except DefinitionError:
            return False
        base = (definition or {}).get("baseDefinition")
        url = base if isinstance(base, str) else None
        if url in defined:
            return True
    return False
