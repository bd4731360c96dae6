"""Profiles for tests, and the snapshots made of them."""

from fhir_b12.definitions import snapshots
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.packages import of_resources

R4 = "http://hl7.org/fhir/StructureDefinition/"
OWN = "http://example.org/StructureDefinition/"

BY_CODE = {"discriminator": [{"type": "value", "path": "code"}], "rules": "open"}
BY_TYPE = {"discriminator": [{"type": "type", "path": "$this"}], "rules": "open"}
BY_URL = {"discriminator": [{"type": "value", "path": "url"}], "ordered": False, "rules": "open"}


def element(name, **more):
    """An element by its id."""
    steps = [step.partition(":") for step in name.split(".")]
    made = {"id": name, "path": ".".join(step[0] for step in steps)}
    return made | ({"sliceName": steps[-1][2]} if steps[-1][2] else {}) | more


def profile(name, *rows, base=None, **more):
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


def made(*definitions, publisher=False):
    """The last profile's snapshot, by id."""
    known = Canonicals([of_resources("test", definitions)])
    if publisher:
        whole = snapshots.with_snapshot(definitions[-1], known.structure, publisher=True)
    else:
        whole = known.structure(definitions[-1]["url"])
    return {each["id"]: each for each in whole["snapshot"]["element"]}


def ids(found, below):
    return [name.removeprefix(below) for name in found if name.startswith(below)]


def codes(found):
    return [each["code"] for each in found["type"]]
