"""The guide as a FHIR package: the same bytes each time, whatever the clock says.

https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
"""

import gzip
import io
import tarfile
from collections.abc import Iterable
from typing import Any

from fhir_b12.guide.definitions import of_record, profiles, settings, terminology
from fhir_b12.guide.examples import examples
from fhir_b12.guide.resources import capability_statement, implementation_guide
from fhir_b12.jsonio import dumps

Resource = dict[str, Any]


def file_name() -> str:
    """What npm calls the file: name and version."""
    known = settings()
    return f"{known['package']}-{known['version']}.tgz"


def files() -> dict[str, bytes]:
    """Every file of the package by its name."""
    shown = examples()
    defined = [*map(_complete, profiles()), *terminology(), capability_statement()]
    defined.append(implementation_guide(defined, shown))
    made = {"package/package.json": dumps(manifest(), indent=2)}
    for folder, resources in (
        ("package", defined),
        ("package/example", [resource for resource, _ in shown]),
    ):
        made |= {f"{folder}/{_name(each)}": dumps(each, indent=2) for each in resources}
        made[f"{folder}/.index.json"] = dumps(index(resources), indent=2)
    return dict(sorted(made.items()))


def _complete(profile: Resource) -> Resource:
    """A profile as it is published: with the record's fields, and as a differential.

    A snapshot must hold R4's prose too (sdf-3), which is not kept here; readers make their own.
    """
    return of_record(profile)


def manifest() -> Resource:
    """`package.json`: who the package is and on what it depends."""
    known = settings()
    return {
        "name": known["package"],
        "version": known["version"],
        "canonical": known["canonical"],
        "url": known["canonical"],
        "title": known["title"],
        "description": known["description"],
        "type": "IG",
        "fhirVersions": ["4.0.1"],
        "dependencies": known["dependencies"],
        "author": known["publisher"],
        "license": known["license"],
        "date": f"{known['date'].replace('-', '')}000000",
        "directories": {"lib": "package", "example": "example"},
    }


_INDEXED = ("resourceType", "id", "url", "version", "kind", "type", "content")


def index(resources: Iterable[Resource]) -> Resource:
    """`.index.json`: what is in a folder, so that nobody need open every file."""
    rows = [
        {"filename": _name(each)}
        | {name: each[name] for name in _INDEXED if isinstance(each.get(name), str)}
        for each in resources
    ]
    return {"index-version": 2, "files": sorted(rows, key=lambda row: row["filename"])}


def _name(resource: Resource) -> str:
    return f"{resource['resourceType']}-{resource['id']}.json"


def packed(contents: dict[str, bytes]) -> bytes:
    """Files as a `.tgz`: in the order of their names, with no time and no owner."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(contents.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), mtime=0)
