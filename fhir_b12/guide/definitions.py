"""What the guide defines: profiles, extensions, value sets, code systems, concept maps.

https://hl7.org/fhir/R4/conformance-module.html
"""

import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

from fhir_b12 import codes, data
from fhir_b12.definitions import R4
from fhir_b12.issues import Issue
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.mapping import table as tables
from fhir_b12.mapping.table import Table

Resource = dict[str, Any]

#: Order of what all these resources say of themselves; the rest follows as it stands.
_HEAD = (
    "resourceType", "id", "url", "version", "name", "title", "status", "experimental", "date",
    "publisher", "description", "copyright",
)  # fmt: skip


@cache
def settings() -> dict[str, Any]:
    """What `profiles/guide.toml` says."""
    return tomllib.loads(data.read(data.profiles(), "guide.toml").decode("utf-8"))


def published(resource: Resource, **facts: Any) -> Resource:
    """A definition with version, date and publisher of the guide."""
    known = settings()
    stamp = {"version": known["version"], "date": known["date"], "publisher": known["publisher"]}
    whole = {"experimental": False, **stamp, **resource, **facts}
    return {name: whole[name] for name in _HEAD if name in whole} | whole


def profiles() -> list[Resource]:
    """The StructureDefinitions of `profiles/`, differentials: profiles and extensions."""
    return [each for each in _stored() if each["resourceType"] == "StructureDefinition"]


def terminology() -> list[Resource]:
    """CodeSystems, ValueSets and ConceptMaps: those stored, then those of every code table."""
    stored = [each for each in _stored() if each["resourceType"] != "StructureDefinition"]
    return stored + [made for name in codes.tables() for made in _exported(name)]


def _stored() -> list[Resource]:
    names = sorted(file.name for file in data.profiles().iterdir() if file.name.endswith(".json"))
    return [published(_read(name)) for name in names]


def _read(name: str) -> Resource:
    """Read one definition of `profiles/`.

    Raises:
        TableError: The file is not JSON, or not a definition with a url.

    """
    try:
        resource = loads(data.read(data.profiles(), name))
    except JsonError as error:
        slips = (f"profiles/{name}: {_located(issue)}{issue.message}" for issue in error.issues)
        raise data.TableError("\n".join(slips)) from error
    if not isinstance(resource, dict):
        raise data.TableError(f"profiles/{name}: is not a JSON object: write one definition")
    for key in ("resourceType", "url"):
        if not isinstance(resource.get(key), str):
            raise data.TableError(f"profiles/{name}: {key} is required: add it")
    return resource


def _located(issue: Issue) -> str:
    return "" if issue.line is None else f"line {issue.line}, column {issue.column}: "


def _exported(name: str) -> Iterator[Resource]:
    words = name.replace("_", " ")
    kinds = (
        (codes.code_system(name), "our own keys"),
        (codes.value_set(name), "the codes that mean them"),
        (codes.concept_map(name), "our keys to the codes that mean them"),
    )
    for resource, what in kinds:
        if resource["resourceType"] == "ConceptMap" and "group" not in resource:
            continue  # no concept of this table has a code
        pascal = "".join(word.capitalize() for word in words.split())
        facts = {
            "id": name.replace("_", "-"),
            "name": f"{pascal}{resource['resourceType']}",
            "title": f"{words.capitalize()}: {what}",
            "description": _says(name),
        }
        yield published(resource, **facts, **_owners(resource))


def _says(name: str) -> str:
    """The first line of a code table: what it holds."""
    first, _, _ = data.read(data.mappings().joinpath("codes"), f"{name}.toml").partition(b"\n")
    return first.decode("utf-8").removeprefix("#").strip()


def _owners(resource: Resource) -> Resource:
    """The words that the owners of the codes ask for."""
    groups = resource.get("group", ())
    used = {each["target"] for each in groups}
    used |= {each["system"] for each in resource.get("compose", {}).get("include", ())}
    said = [words for system, words in settings()["copyright"].items() if system in used]
    return {"copyright": " ".join(said)} if said else {}


def of_record(profile: Resource) -> Resource:
    """A profile with, beside each element, the fields of the record that it is written from.

    https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.mapping
    """
    table = _tables().get(profile["url"])
    if table is None:
        return profile
    record = f"{table.record.__name__} of fhir_b12.records"
    fields = _fields(table)
    elements = [
        element | ({"mapping": [_place(fields[element["id"]])]} if element["id"] in fields else {})
        for element in profile["differential"]["element"]
    ]
    mapping = [{"identity": "record", "name": record}]
    return {**profile, "mapping": mapping, "differential": {"element": elements}}


def _place(fields: list[str]) -> dict[str, str]:
    return {"identity": "record", "map": ", ".join(fields)}


@cache
def _tables() -> dict[str, Table]:
    return {
        table.profile: table
        for table in map(tables.load, tables.ORDER)
        if table.profile is not None
    }


def _fields(table: Table) -> dict[str, list[str]]:
    """Each element that a table writes, as R4 defines it, and the fields that it comes from."""
    found: dict[str, list[str]] = {}
    pairs = [(way.element, row.field) for row in table.rows for way in row.ways[:1]]
    pairs += [(link.element, link.field) for link in table.links]
    for element, field in pairs:
        known = R4.element(f"{table.resource}.{element}")
        assert known is not None
        found.setdefault(known.defined, []).append(f"{table.record.__name__}.{field}")
    return found
