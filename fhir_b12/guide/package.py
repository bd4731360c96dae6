"""The guide as a FHIR package; the same input gives the same bytes.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

import gzip
import io
import tarfile
from collections.abc import Iterable
from typing import Any

from fhir_b12.guide.definitions import profiles, settings, terminology, with_record_mapping
from fhir_b12.guide.examples import examples
from fhir_b12.guide.resources import capability_statement, implementation_guide
from fhir_b12.jsonio import dumps

Resource = dict[str, Any]


def file_name() -> str:
    """Return the file name of the package: name and version, as npm has it."""
    guide = settings()
    return f"{guide['package']}-{guide['version']}.tgz"


def files() -> dict[str, bytes]:
    """Return the content of each file of the package by its path.

    Profiles are differentials: a snapshot must contain R4's prose (sdf-3), which is not stored,
    and readers generate their own.
    """
    described = examples()
    defined = [*map(with_record_mapping, profiles()), *terminology(), capability_statement()]
    defined.append(implementation_guide(defined, described))
    contents = {"package/package.json": dumps(manifest(), indent=2)}
    for folder, resources in (
        ("package", defined),
        ("package/example", [resource for resource, _ in described]),
    ):
        contents |= {
            f"{folder}/{_file_of(resource)}": dumps(resource, indent=2) for resource in resources
        }
        contents[f"{folder}/.index.json"] = dumps(index(resources), indent=2)
    return dict(sorted(contents.items()))


def manifest() -> Resource:
    """Return `package.json`: name, version and dependencies."""
    guide = settings()
    return {
        "name": guide["package"],
        "version": guide["version"],
        "canonical": guide["canonical"],
        "url": guide["canonical"],
        "title": guide["title"],
        "description": guide["description"],
        "type": "IG",
        "fhirVersions": ["4.0.1"],
        "dependencies": guide["dependencies"],
        "author": guide["publisher"],
        "license": guide["license"],
        "date": f"{guide['date'].replace('-', '')}000000",
        "directories": {"lib": "package", "example": "example"},
    }


_INDEXED = ("resourceType", "id", "url", "version", "kind", "type", "content")


def index(resources: Iterable[Resource]) -> Resource:
    """Return `.index.json`: the resources of a folder, so that readers need not open every file."""
    rows = [
        {"filename": _file_of(resource)}
        | {name: resource[name] for name in _INDEXED if isinstance(resource.get(name), str)}
        for resource in resources
    ]
    return {"index-version": 2, "files": sorted(rows, key=lambda row: row["filename"])}


def _file_of(resource: Resource) -> str:
    return f"{resource['resourceType']}-{resource['id']}.json"


def pack_files(contents: dict[str, bytes]) -> bytes:
    """Return files as a `.tgz`, sorted by path, without times and owners."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), mtime=0)
