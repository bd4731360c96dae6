"""What is spoilt: the demo's course, the cases, and the public examples where they are."""

import bz2
from functools import cache

from fhir_b12 import data
from fhir_b12.bundles import resources, to_bundle
from fhir_b12.jsonio import dumps, loads
from fhir_b12.plain import from_plain, to_plain
from tests import cases
from tests.conftest import fixtures_root

SLICE = 4  #: entries of a slice of a Bundle
LONG = 20_000  #: bytes of a resource that is spoilt whole; Bundles above are cut into slices
SYNTHEA = ("8a4c9c04*", "53eac4c0*", "0-hospital*", "0-practitioner*")  #: the smallest


@cache
def course():
    """The demo's therapy record."""
    record, issues = from_plain(loads(data.read(data.mappings(), "demo/course.json")))
    assert issues == ()
    return record


@cache
def own():
    """(name, value) of resources and Bundles that come with the project."""
    record = course()
    found = [(f"course {i}", each) for i, each in enumerate(resources(record))]
    found += slices("course", to_bundle(record))
    found += [(str(case), case.resource) for case in cases.load()]
    return found


@cache
def public():
    """(name, value) of the public examples, empty where there are none."""
    found = []
    for folder in ("r4-examples", "us-core"):
        for path in sorted((fixtures_root() / folder).rglob("*.json")):
            raw = path.read_bytes()
            value = loads(raw)
            whole = len(raw) < LONG
            found += [(path.name, value)] if whole else slices(path.name, value)
    for pattern in SYNTHEA:
        for path in sorted((fixtures_root() / "synthea").glob(pattern)):
            found += slices(path.name, loads(bz2.decompress(path.read_bytes())))
    return found


def slices(name, bundle):
    """A Bundle in pieces of a few entries; anything else gives none."""
    entries = bundle.get("entry", []) if bundle["resourceType"] == "Bundle" else []
    return [
        (f"{name} entry {i}", {**bundle, "entry": entries[i : i + SLICE]})
        for i in range(0, len(entries), SLICE)
    ]


@cache
def plain():
    """(name, value) of therapy records as plain JSON, whole and in parts."""
    whole = to_plain(course())
    found = []
    for name, held in whole.items():
        patient = {"patient": whole["patient"]}
        parts = (
            [held[i : i + SLICE] for i in range(0, len(held), SLICE)] if name != "patient" else []
        )
        found += [(f"{name} {i}", {**patient, name: part}) for i, part in enumerate(parts)]
    return [("patient", {"patient": whole["patient"]}), *found]


@cache
def own_texts():
    """(name, bytes) of resources and of records."""
    return [(name, dumps(value)) for name, value in (*own(), *plain())]


@cache
def public_texts():
    """(name, bytes) of JSON texts right and wrong, empty where there are none."""
    suite = sorted((fixtures_root() / "json-parsing").glob("*.json"))
    texts = [(path.name, path.read_bytes()) for path in suite]
    return [each for each in texts if len(each[1]) < LONG] + [
        (name, dumps(value, indent=2)) for name, value in public()[::5]
    ]
