"""Profiles for tests, and their snapshots."""

from fhir_b12.definitions import snapshots
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.packages import of_resources

R4 = "http://hl7.org/fhir/StructureDefinition/"
OWN = "http://example.org/StructureDefinition/"

BY_CODE = {"discriminator": [{"type": "value", "path": "code"}], "rules": "open"}
BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}
BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}


def element(name, **more):
    """Return an ElementDefinition with an id; path and slice name follow from it."""
    steps = [step.partition(":") for step in name.split(".")]
    definition = {"id": name, "path": ".".join(step[0] for step in steps)}
    return definition | ({"sliceName": steps[-1][2]} if steps[-1][2] else {}) | more


def profile(name, *rows, base=None, **more):
    """Return a StructureDefinition with a differential of the rows."""
    root = rows[0]["path"].partition(".")[0]
    return {
        "resourceType": "StructureDefinition",
        "url": OWN + name,
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": root,
        "baseDefinition": base or R4 + root,
        "derivation": "constraint",
        "differential": {"element": list(rows)},
    } | more


def generate_snapshot(*definitions, publisher=False):
    """Return the elements of the snapshot of the last definition, by id."""
    known = Canonicals([of_resources("test", definitions)])
    if publisher:
        whole = snapshots.generate_snapshot(definitions[-1], known.structure, publisher=True)
    else:
        whole = known.structure(definitions[-1]["url"])
    return {item["id"]: item for item in whole["snapshot"]["element"]}


def names_below(snapshot, below):
    """Return the ids that begin with a prefix, without it."""
    return [name.removeprefix(below) for name in snapshot if name.startswith(below)]


def type_codes(element):
    """Return the codes of the types of an ElementDefinition."""
    return [item["code"] for item in element["type"]]
