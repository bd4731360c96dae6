"""Inputs of the mutations: the demo record, the cases, and the public examples if available."""

import bz2
from functools import cache

from fhir_b12 import data
from fhir_b12.bundles import resources, to_bundle
from fhir_b12.jsonio import dumps, loads
from fhir_b12.plain import from_plain, to_plain
from tests import cases
from tests.conftest import fixtures_root

ENTRIES = 4  #: per part of a Bundle
MAX_BYTES = 20_000  #: of a resource that is mutated whole; larger Bundles are split
SYNTHEA = ("8a4c9c04*", "53eac4c0*", "0-hospital*", "0-practitioner*")  #: the smallest


@cache
def demo_record():
    """Return the therapy record of the demo."""
    record, issues = from_plain(loads(data.read(data.mappings(), "demo/course.json")))
    assert issues == ()
    return record


@cache
def own_resources():
    """Return (name, value) of the resources and Bundles of the project."""
    record = demo_record()
    examples = [(f"course {i}", item) for i, item in enumerate(resources(record))]
    examples += split_bundle("course", to_bundle(record))
    examples += [(str(case), case.resource) for case in cases.load()]
    return examples


@cache
def public_resources():
    """Return (name, value) of the public examples, empty if not available."""
    examples = []
    for folder in ("r4-examples", "us-core"):
        for path in sorted((fixtures_root() / folder).rglob("*.json")):
            raw = path.read_bytes()
            value = loads(raw)
            whole = len(raw) < MAX_BYTES
            examples += [(path.name, value)] if whole else split_bundle(path.name, value)
    for pattern in SYNTHEA:
        for path in sorted((fixtures_root() / "synthea").glob(pattern)):
            examples += split_bundle(path.name, loads(bz2.decompress(path.read_bytes())))
    return examples


def split_bundle(name, bundle):
    """Return parts of a Bundle with a few entries each, none for other resources."""
    entries = bundle.get("entry", []) if bundle["resourceType"] == "Bundle" else []
    return [
        (f"{name} entry {i}", {**bundle, "entry": entries[i : i + ENTRIES]})
        for i in range(0, len(entries), ENTRIES)
    ]


@cache
def plain_records():
    """Return (name, value) of plain therapy records, whole and in parts."""
    whole = to_plain(demo_record())
    examples = []
    for name, value in whole.items():
        patient = {"patient": whole["patient"]}
        parts = (
            [value[i : i + ENTRIES] for i in range(0, len(value), ENTRIES)]
            if name != "patient"
            else []
        )
        examples += [(f"{name} {i}", {**patient, name: part}) for i, part in enumerate(parts)]
    return [("patient", {"patient": whole["patient"]}), *examples]


@cache
def own_texts():
    """Return (name, bytes) of resources and of records."""
    return [(name, dumps(value)) for name, value in (*own_resources(), *plain_records())]


@cache
def public_texts():
    """Return (name, bytes) of valid and invalid JSON texts, empty if not available."""
    suite = sorted((fixtures_root() / "json-parsing").glob("*.json"))
    texts = [(path.name, path.read_bytes()) for path in suite]
    return [item for item in texts if len(item[1]) < MAX_BYTES] + [
        (name, dumps(value, indent=2)) for name, value in public_resources()[::5]
    ]
