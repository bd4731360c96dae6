"""FHIRPath, JSON Pointer and document order of a path.  https://hl7.org/fhir/R4/fhirpath.html"""

from typing import Any

from fhir_b12.definitions import R4
from fhir_b12.jsonscan import expression
from fhir_b12.validation.findings import Path
from fhir_b12.validation.structure.shapes import ELEMENT, get_shape


def fhirpath(resource: dict[str, Any], path: Path) -> str:
    """Return the FHIRPath of a path: `Observation.component[0].value` for `valueQuantity` in it.

    Names that R4 does not know are left as they are.
    """
    # any text may be in the place of a type, a patient's name too
    key = _known_type(resource)
    root = key or "$this"
    node: Any = resource
    steps: list[str | int] = []
    for step in path:
        node = _child(node, step)
        if isinstance(step, int):
            steps.append(step)
        else:
            member = get_shape(key).members.get(step) if key else None
            if member is None:
                key = ""
                steps.append(step)
                continue
            steps.append(member.stem or member.companion_of or step)
            key = ELEMENT if member.companion_of else member.key
        if key == "Resource" and isinstance(node, dict):
            key = _known_type(node)
    return expression(root, tuple(steps))


def _known_type(resource: dict[str, Any]) -> str:
    """Return the type of a resource; "" if R4 does not know it."""
    resource_type = resource.get("resourceType")
    known = isinstance(resource_type, str) and R4.is_resource(resource_type)
    return str(resource_type) if known else ""


def pointer(path: Path) -> str:
    """Return the JSON Pointer: `/component/0/valueQuantity`.  https://www.rfc-editor.org/rfc/rfc6901"""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def order(resource: Any, path: Path) -> tuple[int, ...]:
    """Return a sort key: the index of each step among the members or items of its owner."""
    indices: list[int] = []
    node = resource
    for step in path:
        if isinstance(node, dict):
            names = list(node)
            indices.append(names.index(step) if step in node else len(names))
        else:
            indices.append(step if isinstance(step, int) else 0)
        node = _child(node, step)
    return tuple(indices)


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return None
