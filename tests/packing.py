"""Packages for tests, as archives and folders."""

import io
import json
import tarfile

from fhir_b12.definitions.packages import (
    PackageFolders,
)

NOWHERE = PackageFolders()
TYPES = "http://hl7.org/fhir/StructureDefinition/"


def value_set(name, version="1.0.0", **more):
    url = f"http://example.org/ValueSet/{name}"
    return {"resourceType": "ValueSet", "url": url, "version": version, "status": "draft"} | more


def manifest(name="test.one", version="1.0.0", **more):
    return {"name": name, "version": version, "fhirVersions": ["4.0.1"]} | more


def archive(path, files):
    """Write a `.tgz`: bytes as they are, a TarInfo as a header only, other content as JSON."""
    with tarfile.open(path, "w:gz") as file:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                # only the header, with any size, which addfile refuses since Python 3.13
                head = content.tobuf(file.format, file.encoding, file.errors)
                file.fileobj.write(head)
                file.offset += len(head)
                continue
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            file.addfile(member, io.BytesIO(text))
    return path


def folder(path, files):
    path.mkdir(parents=True)
    for name, content in files.items():
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(text)
    return path


def good(name="test.one", version="1.0.0", **more):
    return {
        "package/package.json": manifest(name, version, **more),
        "package/ValueSet-a.json": value_set("a", version),
        "package/.index.json": {"files": []},
        "package/example/Patient-x.json": {"resourceType": "Patient", "id": "x"},
        "package/example/ValueSet-z.json": value_set("z"),
    }


def urls(package):
    return [entry.url.rpartition("/")[2] for entry in package.archive.entries]
