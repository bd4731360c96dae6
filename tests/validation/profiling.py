"""Builders of profiles and extensions for tests, as minimal differentials."""

from fhir_b12.definitions.packages import of_resources
from fhir_b12.validation import Validator

HOME = "http://example.org/fhir/StructureDefinition/"
R4 = "http://hl7.org/fhir/StructureDefinition/"


def element(name, **facts):
    """Return an element by its id: `Patient.identifier:a.system`."""
    path = ".".join(step.partition(":")[0] for step in name.split("."))
    last = name.rpartition(".")[2]
    slice_name = {"sliceName": last.partition(":")[2]} if ":" in last else {}
    return {"id": name, "path": path, **slice_name, **facts}


def sliced(name, *discriminators, rules="open", ordered=None, **facts):
    """Return an element with slicing; each discriminator is `(type, path)`."""
    slicing = {"discriminator": [{"type": t, "path": p} for t, p in discriminators], "rules": rules}
    if ordered is not None:
        slicing["ordered"] = ordered
    return element(name, slicing=slicing, **facts)


def profile(name, kind, *elements, root=None, base=None, **facts):
    """Return a profile of a resource or data type."""
    return {
        "resourceType": "StructureDefinition",
        "url": HOME + name,
        "version": "1.0",
        "name": name,
        "status": "active",
        "fhirVersion": "4.0.1",
        "kind": "complex-type" if kind == "Extension" else "resource",
        "abstract": False,
        "type": kind,
        "baseDefinition": base or R4 + kind,
        "derivation": "constraint",
        "differential": {"element": [element(kind, **(root or {})), *elements]},
        **facts,
    }


def extension(name, *elements, where=("Element",), modifier=False, **facts):
    """Return an extension for some elements, without nested extensions unless they are given."""
    context = [{"type": "element", "expression": path} for path in where]
    if not any(item["path"].startswith("Extension.extension") for item in elements):
        elements = (element("Extension.extension", max="0"), *elements)
    parts = [item for item in elements if item["path"].startswith("Extension.extension")]
    rest = [item for item in elements if item not in parts]
    url = element("Extension.url", fixedUri=HOME + name)
    root = {"isModifier": True, "isModifierReason": "it is one"} if modifier else None
    return profile(
        name, "Extension", *parts, url, *rest, root=root, **{"context": context, **facts}
    )


def types(*names, **facts):
    """Return the rows of ElementDefinition.type."""
    return [{"code": name, **facts} for name in names]


def value(*names, **facts):
    """Return the required value[x] of an extension."""
    return element("Extension.value[x]", min=1, type=types(*names), **facts)


def rules_broken_by(resource, *definitions, against=(), worse_than="warning"):
    """Return rule and expression of each error of a resource, in document order."""
    validator = Validator((), [of_resources("tests", definitions)], plausibility=False)
    report = validator.validate(resource, profiles=[HOME + name for name in against])
    severities = {"warning": {"error", "fatal"}, "information": {"error", "fatal", "warning"}}[
        worse_than
    ]
    return [(issue.rule, issue.expression) for issue in report if issue.severity in severities]


def patient(**facts):
    return {"resourceType": "Patient", "id": "p", **facts}


def observation(**facts):
    return {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"text": "x"},
        **facts,
    }
