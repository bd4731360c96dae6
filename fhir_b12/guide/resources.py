"""What the guide is made of, and what the facade is to offer.

https://hl7.org/fhir/R4/implementationguide.html https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_b12.guide.definitions import profiles, published, settings

Resource = dict[str, Any]
_SMART = {
    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
    "code": "SMART-on-FHIR",
}


def implementation_guide(
    defined: Iterable[Resource], examples: Iterable[tuple[Resource, str]]
) -> Resource:
    """The list of all that is in the package."""
    known = settings()
    name = known["package"]
    listed = [*map(_defined, defined), *(_shown(*example) for example in examples)]
    return published(
        {
            "resourceType": "ImplementationGuide",
            "id": name,
            "url": f"{known['canonical']}/ImplementationGuide/{name}",
            "status": "active",
            "packageId": name,
            "license": known["license"],
            "fhirVersion": ["4.0.1"],
            "definition": {"resource": listed},
        },
        name=known["name"],
        title=known["title"],
        description=known["description"],
    )


def _defined(resource: Resource) -> Resource:
    return {
        "reference": {"reference": f"{resource['resourceType']}/{resource['id']}"},
        "name": resource["title"],
        "description": resource["description"],
        "exampleBoolean": False,
    }


def _shown(resource: Resource, says: str) -> Resource:
    return {
        "reference": {"reference": f"{resource['resourceType']}/{resource['id']}"},
        "name": says,
        "exampleCanonical": resource["meta"]["profile"][0],
    }


def capability_statement() -> Resource:
    """What the facade is to offer: requirements, no description of a running system."""
    known = settings()
    asked = known["facade"]
    rest = {
        "mode": "server",
        "documentation": asked["documentation"],
        "security": {"service": [{"coding": [_SMART]}], "description": asked["security"]},
        "resource": list(_types(asked)),
        "interaction": [{"code": code} for code in asked["whole_can"]],
        "searchParam": [{"name": name, **row} for name, row in asked["search"].items()],
        "operation": _operations(asked["everywhere"]),
    }
    return published(
        {
            "resourceType": "CapabilityStatement",
            "id": asked["id"],
            "url": f"{known['canonical']}/CapabilityStatement/{asked['id']}",
            "name": "B12Facade",
            "status": "active",
            "kind": "requirements",
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "patchFormat": ["application/json-patch+json"],
            "rest": [rest],
        },
        title=asked["title"],
        description=asked["description"],
    )


def _types(asked: Resource) -> Iterator[Resource]:
    """Each type with what can be done to it: ours, those beside, those only read."""
    ours: dict[str, list[str]] = {}
    for profile in profiles():
        if profile["kind"] == "resource" and profile["type"] != "Bundle":
            ours.setdefault(profile["type"], []).append(profile["url"])
    for kind in sorted({*ours, *asked["beside"], *asked["read_only"]}):
        kept = kind not in asked["read_only"]
        row: Resource = {"type": kind}
        if kind in ours:
            row["supportedProfile"] = ours[kind]
        row["interaction"] = [{"code": c} for c in asked["kept_can" if kept else "all_can"]]
        if kept:
            row |= _KEPT
        if kind in asked["operations"]:
            row["operation"] = _operations(asked["operations"][kind])
        yield row


#: https://hl7.org/fhir/R4/http.html
_KEPT = {
    "versioning": "versioned-update",
    "readHistory": True,
    "updateCreate": True,
    "conditionalCreate": True,
    "conditionalRead": "full-support",
    "conditionalUpdate": True,
    "conditionalDelete": "single",
}


def _operations(rows: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "definition": url} for name, url in rows.items()]
