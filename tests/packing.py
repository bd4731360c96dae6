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
    """A `.tgz`; content that is no bytes is JSON, a TarInfo stands for itself."""
    with tarfile.open(path, "w:gz") as written:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                # the head alone, whatever size it claims, which addfile refuses since Python 3.13
                head = content.tobuf(written.format, written.encoding, written.errors)
                written.fileobj.write(head)
                written.offset += len(head)
                continue
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            written.addfile(member, io.BytesIO(text))
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
    return [each.url.rpartition("/")[2] for each in package.archive.entries]
