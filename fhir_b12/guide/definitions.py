"""Definitions of the guide: profiles, extensions, value sets, code systems and concept maps.

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

#: Order of the elements that all definitions have; the others follow in their own order.
_HEAD = (
    "resourceType", "id", "url", "version", "name", "title", "status", "experimental", "date",
    "publisher", "description", "copyright",
)  # fmt: skip


@cache
def settings() -> dict[str, Any]:
    """Return the content of `profiles/guide.toml`."""
    return tomllib.loads(data.read(data.profiles(), "guide.toml").decode("utf-8"))


def publish(resource: Resource, **elements: Any) -> Resource:
    """Return a definition with version, date and publisher of the guide.

    Args:
        resource: The definition.
        **elements: More elements of it; they replace its own.

    """
    guide = settings()
    stamp = {"version": guide["version"], "date": guide["date"], "publisher": guide["publisher"]}
    definition = {"experimental": False, **stamp, **resource, **elements}
    return {name: definition[name] for name in _HEAD if name in definition} | definition


def profiles() -> list[Resource]:
    """Return the profiles and extensions of `profiles/`, as differentials."""
    return [
        resource for resource in _read_all() if resource["resourceType"] == "StructureDefinition"
    ]


def terminology() -> list[Resource]:
    """Return CodeSystems, ValueSets and ConceptMaps: those of `profiles/`, then of code tables."""
    files = [
        resource for resource in _read_all() if resource["resourceType"] != "StructureDefinition"
    ]
    return files + [resource for name in codes.tables() for resource in _export_table(name)]


def _read_all() -> list[Resource]:
    names = sorted(file.name for file in data.profiles().iterdir() if file.name.endswith(".json"))
    return [publish(_read(name)) for name in names]


def _read(name: str) -> Resource:
    """Read one definition of `profiles/`.

    Raises:
        TableError: The file is not JSON, or not a definition with a url.

    """
    try:
        resource = loads(data.read(data.profiles(), name))
    except JsonError as error:
        faults = (f"profiles/{name}: {_located(issue)}{issue.message}" for issue in error.issues)
        raise data.TableError("\n".join(faults)) from error
    if not isinstance(resource, dict):
        raise data.TableError(f"profiles/{name}: is not a JSON object: write one definition")
    for key in ("resourceType", "url"):
        if not isinstance(resource.get(key), str):
            raise data.TableError(f"profiles/{name}: {key} is required: add it")
    return resource


def _located(issue: Issue) -> str:
    return "" if issue.line is None else f"line {issue.line}, column {issue.column}: "


def _export_table(name: str) -> Iterator[Resource]:
    """Yield CodeSystem, ValueSet and ConceptMap of a code table."""
    words = name.replace("_", " ")
    exports = (
        (codes.code_system(name), "our own keys"),
        (codes.value_set(name), "the codes that mean them"),
        (codes.concept_map(name), "our keys to the codes that mean them"),
    )
    for resource, title in exports:
        if resource["resourceType"] == "ConceptMap" and "group" not in resource:
            continue  # no concept of this table has a code
        pascal = "".join(word.capitalize() for word in words.split())
        elements = {
            "id": name.replace("_", "-"),
            "name": f"{pascal}{resource['resourceType']}",
            "title": f"{words.capitalize()}: {title}",
            "description": _first_comment(name),
        }
        yield publish(resource, **elements, **_copyright(resource))


def _first_comment(name: str) -> str:
    """Return the first line of a code table, which describes it."""
    first, _, _ = data.read(data.mappings().joinpath("codes"), f"{name}.toml").partition(b"\n")
    return first.decode("utf-8").removeprefix("#").strip()


def _copyright(resource: Resource) -> Resource:
    """Return the copyright element that the owners of the used code systems require."""
    systems = {group["target"] for group in resource.get("group", ())}
    systems |= {include["system"] for include in resource.get("compose", {}).get("include", ())}
    notices = [text for system, text in settings()["copyright"].items() if system in systems]
    return {"copyright": " ".join(notices)} if notices else {}


def with_record_mapping(profile: Resource) -> Resource:
    """Return a profile with ElementDefinition.mapping: the record fields of each element.

    https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.mapping
    """
    table = _tables_by_profile().get(profile["url"])
    if table is None:
        return profile
    record = f"{table.record.__name__} of fhir_b12.records"
    fields = _fields(table)
    elements = [
        element
        | ({"mapping": [_mapping_row(fields[element["id"]])]} if element["id"] in fields else {})
        for element in profile["differential"]["element"]
    ]
    mapping = [{"identity": "record", "name": record}]
    return {**profile, "mapping": mapping, "differential": {"element": elements}}


def _mapping_row(fields: list[str]) -> dict[str, str]:
    return {"identity": "record", "map": ", ".join(fields)}


@cache
def _tables_by_profile() -> dict[str, Table]:
    return {
        table.profile: table
        for table in map(tables.load, tables.ORDER)
        if table.profile is not None
    }


def _fields(table: Table) -> dict[str, list[str]]:
    """Return the record fields of each element that a table writes, by the element's path in R4."""
    fields: dict[str, list[str]] = {}
    pairs = [(way.element, row.field) for row in table.rows for way in row.ways[:1]]
    pairs += [(link.element, link.field) for link in table.links]
    for element, field in pairs:
        known = R4.element(f"{table.resource}.{element}")
        assert known is not None
        fields.setdefault(known.defined, []).append(f"{table.record.__name__}.{field}")
    return fields
