"""Profiles and extensions for tests, as differentials with no more words than they need."""

from fhir_b12.definitions.packages import of_resources
from fhir_b12.validation import Validator

HOME = "http://example.org/fhir/StructureDefinition/"
R4 = "http://hl7.org/fhir/StructureDefinition/"


def element(name, **facts):
    """One element by its id: `Patient.identifier:a.system`."""
    path = ".".join(step.partition(":")[0] for step in name.split("."))
    last = name.rpartition(".")[2]
    told = {"sliceName": last.partition(":")[2]} if ":" in last else {}
    return {"id": name, "path": path, **told, **facts}


def sliced(name, *discriminators, rules="open", ordered=None, **facts):
    """An element with slicing; each discriminator is `(type, path)`."""
    slicing = {"discriminator": [{"type": t, "path": p} for t, p in discriminators], "rules": rules}
    if ordered is not None:
        slicing["ordered"] = ordered
    return element(name, slicing=slicing, **facts)


def profile(name, kind, *elements, root=None, base=None, **facts):
    """A profile of a resource or data type."""
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
    """An extension that may be used at some elements; it has no parts unless it says so."""
    context = [{"type": "element", "expression": each} for each in where]
    if not any(each["path"].startswith("Extension.extension") for each in elements):
        elements = (element("Extension.extension", max="0"), *elements)
    parts = [each for each in elements if each["path"].startswith("Extension.extension")]
    rest = [each for each in elements if each not in parts]
    url = element("Extension.url", fixedUri=HOME + name)
    root = {"isModifier": True, "isModifierReason": "it is one"} if modifier else None
    told = {"context": context, **facts}
    return profile(name, "Extension", *parts, url, *rest, root=root, **told)


def types(*names, **facts):
    """The types of an element."""
    return [{"code": name, **facts} for name in names]


def value(*names, **facts):
    """The value of an extension, which must be there."""
    return element("Extension.value[x]", min=1, type=types(*names), **facts)


def told(resource, *definitions, against=(), worse_than="warning"):
    """What is found out of a resource: rule and place of each error, in order of the document."""
    validator = Validator((), [of_resources("tests", definitions)], plausibility=False)
    report = validator.validate(resource, profiles=[HOME + name for name in against])
    left = {"warning": {"error", "fatal"}, "information": {"error", "fatal", "warning"}}[worse_than]
    return [(each.rule, each.expression) for each in report if each.severity in left]


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
