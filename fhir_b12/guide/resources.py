"""ImplementationGuide and CapabilityStatement of the guide.

https://hl7.org/fhir/R4/implementationguide.html https://hl7.org/fhir/R4/capabilitystatement.html
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_b12.guide.definitions import profiles, publish, settings

Resource = dict[str, Any]
_SMART = {
    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
    "code": "SMART-on-FHIR",
}


def implementation_guide(
    defined: Iterable[Resource], examples: Iterable[tuple[Resource, str]]
) -> Resource:
    """Return the ImplementationGuide, which lists all resources of the package.

    Args:
        defined: The definitions.
        examples: The examples, each with its description.

    """
    guide = settings()
    name = guide["package"]
    rows = [*map(_definition_row, defined), *(_example_row(*example) for example in examples)]
    return publish(
        {
            "resourceType": "ImplementationGuide",
            "id": name,
            "url": f"{guide['canonical']}/ImplementationGuide/{name}",
            "status": "active",
            "packageId": name,
            "license": guide["license"],
            "fhirVersion": ["4.0.1"],
            "definition": {"resource": rows},
        },
        name=guide["name"],
        title=guide["title"],
        description=guide["description"],
    )


def _definition_row(resource: Resource) -> Resource:
    return {
        "reference": {"reference": f"{resource['resourceType']}/{resource['id']}"},
        "name": resource["title"],
        "description": resource["description"],
        "exampleBoolean": False,
    }


def _example_row(resource: Resource, description: str) -> Resource:
    return {
        "reference": {"reference": f"{resource['resourceType']}/{resource['id']}"},
        "name": description,
        "exampleCanonical": resource["meta"]["profile"][0],
    }


def capability_statement() -> Resource:
    """Return the requirements on a server; a running server describes itself."""
    guide = settings()
    facade = guide["facade"]
    rest = {
        "mode": "server",
        "documentation": facade["documentation"],
        "security": {"service": [{"coding": [_SMART]}], "description": facade["security"]},
        "resource": list(_resource_rows(facade)),
        "interaction": [{"code": code} for code in facade["system_interactions"]],
        "searchParam": [{"name": name, **row} for name, row in facade["search"].items()],
        "operation": _operations(facade["system_operations"]),
    }
    return publish(
        {
            "resourceType": "CapabilityStatement",
            "id": facade["id"],
            "url": f"{guide['canonical']}/CapabilityStatement/{facade['id']}",
            "name": "B12Facade",
            "status": "active",
            "kind": "requirements",
            "fhirVersion": "4.0.1",
            "format": ["json"],
            "patchFormat": ["application/json-patch+json"],
            "rest": [rest],
        },
        title=facade["title"],
        description=facade["description"],
    )


def _resource_rows(facade: Resource) -> Iterator[Resource]:
    """Yield each resource type with its interactions: profiled, supported and read-only ones."""
    urls_by_type: dict[str, list[str]] = {}
    for profile in profiles():
        if profile["kind"] == "resource" and profile["type"] != "Bundle":
            urls_by_type.setdefault(profile["type"], []).append(profile["url"])
    for type_ in sorted({*urls_by_type, *facade["supported"], *facade["read_only"]}):
        is_writable = type_ not in facade["read_only"]
        row: Resource = {"type": type_}
        if type_ in urls_by_type:
            row["supportedProfile"] = urls_by_type[type_]
        interactions = "interactions" if is_writable else "read_only_interactions"
        row["interaction"] = [{"code": code} for code in facade[interactions]]
        if is_writable:
            row |= _WRITABLE
        if type_ in facade["operations"]:
            row["operation"] = _operations(facade["operations"][type_])
        yield row


#: https://hl7.org/fhir/R4/http.html
_WRITABLE = {
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
