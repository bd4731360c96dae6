"""Distil the StructureDefinitions, CodeSystems and ValueSets of R4: everything but their prose.

Part of `distil_r4.py`.  https://hl7.org/fhir/R4/conformance-module.html
"""

import json
from typing import Any

from fhir_b12.definitions import archive

Json = dict[str, Any]
Package = dict[str, dict[str, Json]]  #: resource type -> canonical url -> resource

MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"

#: corrections of R4's vital signs by HL7's validator: times and other units are allowed
CORRECTED = {
    "vs-1": {"expression": "$this is dateTime implies $this.toString().length() >= 10"},
}
VITAL_UNITS = "http://hl7.org/fhir/ValueSet/ucum-vitals-common"

CHUNK = 64_000  #: bytes of JSON per compressed member: smaller needs more space, larger more time


def canonicals(package: Package) -> bytes:
    """Return the archive of structures, code systems and value sets."""
    shared: dict[str, Json] = {}
    rows = [
        archive.ArchiveSource(resource_type, url, item.get("version", ""), compact(distil(item)))
        for resource_type, distil in (
            ("StructureDefinition", lambda definition: structure(definition, package, shared)),
            ("CodeSystem", code_system),
            ("ValueSet", compose),
        )
        for url, item in sorted(package[resource_type].items())
    ]
    return archive.pack(
        [archive.ArchiveSource("Constraints", "", "", compact(shared)), *rows], chunk=CHUNK
    )


def compact(resource: Json) -> bytes:
    """Return a resource as JSON without white space."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def only(facts: Json, *names: str) -> Json:
    """Return the members with these names."""
    return {name: facts[name] for name in names if name in facts}


FLAGS = ("isModifier", "isSummary", "mustSupport")
NAMES = ("resourceType", "url", "version", "name", "status")

#: members of an ElementDefinition for human readers
PROSE = {
    *("short", "definition", "comment", "requirements", "alias", "mapping", "example"),
    *("isModifierReason", "meaningWhenMissing", "orderMeaning", "extension"),
}


def structure(definition: Json, package: Package, shared: dict[str, Json]) -> Json:
    """Return a type or profile with its snapshot, an extension with its differential.

    Snapshots that are generated today from the differentials of R4's profiles differ from the
    published ones; the published ones count. Repeated parts of a snapshot are abbreviated, and
    expanded by `fhir_b12.definitions.core`: constraints are replaced by their names in `shared`.
    """
    result = only(
        definition,
        *(*NAMES, "id", "kind", "abstract", "context", "contextInvariant", "type"),
        *("baseDefinition", "derivation", "fhirVersion"),
    )
    is_extension = definition["type"] == "Extension" and definition["id"] != "Extension"
    view = "differential" if is_extension or "snapshot" not in definition else "snapshot"
    rows = [distil_element(item, definition, package) for item in definition[view]["element"]]
    if view == "snapshot":
        rows = [abbreviate(item, shared) for item in rows]
    return result | {view: {"element": rows}}


def abbreviate(element: Json, shared: dict[str, Json]) -> Json:
    """Return an element of a snapshot without the members that follow from others."""
    same = {"path": element["path"], "min": element["min"], "max": element["max"]}
    names = []
    for constraint in element.get("constraint", ()):
        name = constraint["key"]
        while shared.setdefault(name, constraint) != constraint:
            name += "'"
        names.append(name)
    return {
        key: value
        for key, value in (element | {"constraint": names}).items()
        if value != []
        and (key, value) not in (("base", same), ("id", element["path"]), ("min", 0), ("max", "1"))
    }


def distil_element(element: Json, definition: Json, package: Package) -> Json:
    """Return an ElementDefinition without prose, corrected, with the source of each constraint."""
    result = {key: value for key, value in element.items() if key not in PROSE}
    if "constraint" in result:
        result["constraint"] = [
            {"source": stating_definition(item["key"], definition, package)}
            | {key: value for key, value in item.items() if key != "xpath"}
            | CORRECTED.get(item["key"], {})
            for item in result["constraint"]
        ]
    if "binding" in result:
        result["binding"] = binding(result["binding"])
    return {key: value for key, value in result.items() if not (key in FLAGS and value is False)}


def stating_definition(key: str, definition: Json, package: Package) -> str:
    """Return the url of the definition that states a constraint: the farthest base that has it."""
    base = package["StructureDefinition"].get(definition.get("baseDefinition", ""))
    if base is not None and any(
        item["key"] == key
        for element in base.get("snapshot", {}).get("element", ())
        for item in element.get("constraint", ())
    ):
        return stating_definition(key, base, package)
    return str(definition["url"])


def binding(facts: Json) -> Json:
    """Return strength, value set and maximum value set of a binding."""
    result = only(facts, "strength", "valueSet")
    if result.get("valueSet", "").partition("|")[0] == VITAL_UNITS:
        result["strength"] = "extensible"
    ceiling = [item for item in facts.get("extension", ()) if item["url"] == MAX_VALUE_SET]
    return result | ({"extension": ceiling} if ceiling else {})


def code_system(resource: Json) -> Json:
    """Return a code system: codes with display, properties and hierarchy."""
    result = only(
        resource,
        *(*NAMES, "caseSensitive", "valueSet", "hierarchyMeaning", "compositional"),
        *("versionNeeded", "content", "supplements"),
    )
    if "property" in resource:
        result["property"] = [only(item, "code", "uri", "type") for item in resource["property"]]
    if "concept" in resource:
        result["concept"] = [*map(concept, resource["concept"])]
    return result


def concept(row: Json) -> Json:
    """Return a concept and its children."""
    result = only(row, "code", "display")
    if "designation" in row:
        result["designation"] = [designation(item) for item in row["designation"]]
    if "property" in row:
        result["property"] = row["property"]
    if "concept" in row:
        result["concept"] = [*map(concept, row["concept"])]
    return result


def designation(row: Json) -> Json:
    """Return a designation of a concept."""
    use = row.get("use", {})
    return only(row, "language", "value") | ({"use": only(use, "system", "code")} if use else {})


def compose(resource: Json) -> Json:
    """Return a value set with its compose, without expansion."""
    result = only(resource, *NAMES, "immutable")
    source_compose = resource["compose"]
    return result | {
        "compose": only(source_compose, "lockedDate", "inactive")
        | {
            part: [composition(item) for item in source_compose[part]]
            for part in ("include", "exclude")
            if part in source_compose
        }
    }


def composition(row: Json) -> Json:
    """Return an `include` or `exclude` of a value set."""
    result = only(row, "system", "version", "filter", "valueSet")
    if "concept" in row:
        result["concept"] = [concept(item) for item in row["concept"]]
    return result
