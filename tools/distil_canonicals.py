"""What is asked for by its url: R4's structures, code systems and value sets, without their prose.

A part of `distil_r4.py`.  https://hl7.org/fhir/R4/conformance-module.html
"""

import json
from typing import Any

from fhir_b12.definitions import archive

Json = dict[str, Any]
Package = dict[str, dict[str, Json]]  #: resource type -> canonical url -> resource

MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"

#: R4's vital signs as HL7's validator corrects them: a time is no slip, nor is a unit of one's own
CORRECTED = {
    "vs-1": {"expression": "$this is dateTime implies $this.toString().length() >= 10"},
}
VITAL_UNITS = "http://hl7.org/fhir/ValueSet/ucum-vitals-common"

CHUNK = 64_000  #: bytes of JSON packed together: fewer take more room, more take more time


def canonicals(package: Package) -> bytes:
    """Structures, code systems and value sets, without their prose."""
    shared: dict[str, Json] = {}
    rows = [
        archive.Source(kind, url, each.get("version", ""), compact(short(each)))
        for kind, short in (
            ("StructureDefinition", lambda each: structure(each, package, shared)),
            ("CodeSystem", code_system),
            ("ValueSet", compose),
        )
        for url, each in sorted(package[kind].items())
    ]
    return archive.pack(
        [archive.Source("Constraints", "", "", compact(shared)), *rows], chunk=CHUNK
    )


def compact(resource: Json) -> bytes:
    """JSON without white space."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def only(facts: Json, *names: str) -> Json:
    """Those of the facts that have these names."""
    return {name: facts[name] for name in names if name in facts}


FLAGS = ("isModifier", "isSummary", "mustSupport")
NAMES = ("resourceType", "url", "version", "name", "status")

#: what an ElementDefinition says for people
PROSE = {
    *("short", "definition", "comment", "requirements", "alias", "mapping", "example"),
    *("isModifierReason", "meaningWhenMissing", "orderMeaning", "extension"),
}


def structure(definition: Json, package: Package, shared: dict[str, Json]) -> Json:
    """A type or profile with its snapshot, an extension with its differential.

    The snapshots of R4's own profiles are not what is made of their differentials today, and what
    counts is what was published. What a snapshot says again and again is shortened as
    `core._unfolded` knows: constraints are names of what stands in `shared`.
    """
    kept = only(
        definition,
        *(*NAMES, "id", "kind", "abstract", "context", "contextInvariant", "type"),
        *("baseDefinition", "derivation", "fhirVersion"),
    )
    is_extension = definition["type"] == "Extension" and definition["id"] != "Extension"
    view = "differential" if is_extension or "snapshot" not in definition else "snapshot"
    rows = [spare(each, definition, package) for each in definition[view]["element"]]
    if view == "snapshot":
        rows = [folded(each, shared) for each in rows]
    return kept | {view: {"element": rows}}


def folded(element: Json, shared: dict[str, Json]) -> Json:
    """An element of a snapshot without what can be told from the rest of it."""
    same = {"path": element["path"], "min": element["min"], "max": element["max"]}
    names = []
    for each in element.get("constraint", ()):
        name = each["key"]
        while shared.setdefault(name, each) != each:
            name += "'"
        names.append(name)
    return {
        key: value
        for key, value in (element | {"constraint": names}).items()
        if value != []
        and (key, value) not in (("base", same), ("id", element["path"]), ("min", 0), ("max", "1"))
    }


def spare(element: Json, definition: Json, package: Package) -> Json:
    """An ElementDefinition without prose, corrected; its constraints name their source."""
    kept = {key: value for key, value in element.items() if key not in PROSE}
    if "constraint" in kept:
        kept["constraint"] = [
            {"source": source(each["key"], definition, package)}
            | {key: value for key, value in each.items() if key != "xpath"}
            | CORRECTED.get(each["key"], {})
            for each in kept["constraint"]
        ]
    if "binding" in kept:
        kept["binding"] = binding(kept["binding"])
    return {key: value for key, value in kept.items() if not (key in FLAGS and value is False)}


def source(key: str, definition: Json, package: Package) -> str:
    """The url of the definition that states a constraint: the farthest base that has it."""
    base = package["StructureDefinition"].get(definition.get("baseDefinition", ""))
    if base is not None and any(
        each["key"] == key
        for element in base.get("snapshot", {}).get("element", ())
        for each in element.get("constraint", ())
    ):
        return source(key, base, package)
    return str(definition["url"])


def binding(facts: Json) -> Json:
    """A binding: how strong, to what, and which set no code may leave."""
    kept = only(facts, "strength", "valueSet")
    if kept.get("valueSet", "").partition("|")[0] == VITAL_UNITS:
        kept["strength"] = "extensible"
    ceiling = [each for each in facts.get("extension", ()) if each["url"] == MAX_VALUE_SET]
    return kept | ({"extension": ceiling} if ceiling else {})


def code_system(resource: Json) -> Json:
    """A code system: every code with display, properties and place in the hierarchy."""
    kept = only(
        resource,
        *(*NAMES, "caseSensitive", "valueSet", "hierarchyMeaning", "compositional"),
        *("versionNeeded", "content", "supplements"),
    )
    if "property" in resource:
        kept["property"] = [only(each, "code", "uri", "type") for each in resource["property"]]
    if "concept" in resource:
        kept["concept"] = [*map(concept, resource["concept"])]
    return kept


def concept(row: Json) -> Json:
    """One code and those below it."""
    kept = only(row, "code", "display")
    if "designation" in row:
        kept["designation"] = [designation(each) for each in row["designation"]]
    if "property" in row:
        kept["property"] = row["property"]
    if "concept" in row:
        kept["concept"] = [*map(concept, row["concept"])]
    return kept


def designation(row: Json) -> Json:
    """Another name of a code."""
    use = row.get("use", {})
    return only(row, "language", "value") | ({"use": only(use, "system", "code")} if use else {})


def compose(resource: Json) -> Json:
    """A value set: how it is composed, not what that comes to."""
    kept = only(resource, *NAMES, "immutable")
    composed = resource["compose"]
    return kept | {
        "compose": only(composed, "lockedDate", "inactive")
        | {
            part: [composition(each) for each in composed[part]]
            for part in ("include", "exclude")
            if part in composed
        }
    }


def composition(row: Json) -> Json:
    """One `include` or `exclude`."""
    kept = only(row, "system", "version", "filter", "valueSet")
    if "concept" in row:
        kept["concept"] = [concept(each) for each in row["concept"]]
    return kept
