"""From the JSON names of a place to its FHIRPath and JSON Pointer.  https://hl7.org/fhir/R4/fhirpath.html"""

from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.jsonscan import expression
from fhir_b12.validation.findings import Path
from fhir_b12.validation.structure.shapes import ELEMENT, shape


def fhirpath(resource: dict[str, Any], path: Path) -> str:
    """`Observation.component[0].value` for ("component", 0, "valueQuantity").

    Names that R4 does not know stay as they are.
    """
    root = resource.get("resourceType")
    node: Any = resource
    # any text may stand where a type belongs, a patient's name too
    key = root if isinstance(root, str) and R4.is_resource(root) else ""
    root = key or "$this"
    steps: list[str | int] = []
    for step in path:
        node = _part(node, step)
        if isinstance(step, int):
            steps.append(step)
        else:
            member = shape(key).members.get(step) if key else None
            if member is None:
                key = ""
                steps.append(step)
                continue
            steps.append(member.stem or member.companion_of or step)
            key = ELEMENT if member.companion_of else member.key
        if key == "Resource" and isinstance(node, dict):
            kind = node.get("resourceType")
            key = kind if isinstance(kind, str) and R4.is_resource(kind) else ""
    return expression(root, tuple(steps))


def pointer(path: Path) -> str:
    """`/component/0/valueQuantity`.  https://www.rfc-editor.org/rfc/rfc6901"""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def order(resource: Any, path: Path) -> tuple[int, ...]:
    """Where a place stands in the document, to sort by."""
    found: list[int] = []
    node = resource
    for step in path:
        if isinstance(node, dict):
            names = list(node)
            found.append(names.index(step) if step in node else len(names))
        else:
            found.append(step if isinstance(step, int) else 0)
        node = _part(node, step)
    return tuple(found)


def _part(node: Any, step: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return None
