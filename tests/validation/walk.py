"""The invariants that apply to each element of a resource, by R4's definitions."""

from fhir_b12.definitions import R4
from fhir_b12.validation.context import ResourceContext


def visits(resource, container=None):
    """Yield invariant, path, node and context for every invariant of every element."""
    context = ResourceContext(resource, None, container=container)
    yield from _whole(resource, context.type, context)


def _whole(node, name, context):
    """Yield the invariants of a type, and those of its elements."""
    rules = R4.invariants(name)
    yield from ((rule, name, node, context) for rule in rules if "." not in rule.path)
    yield from _parts(node, name, context)


def _parts(node, at, context):
    for name, value in node.items() if isinstance(node, dict) else ():
        definition = R4.element(f"{at}.{name}")
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and "resourceType" in part:
                yield from visits(part, context.root if name == "contained" else None)
            elif definition is not None and part is not None:
                yield from _element(part, definition, context)


def _element(node, definition, context):
    owner = definition.content or definition.defined
    rules = R4.invariants(owner.partition(".")[0])
    is_companion = definition.path.rpartition(".")[2].startswith("_")
    if not is_companion:
        places = {definition.content, definition.defined}  # an element by reference answers to both
        yield from ((r, definition.path, node, context) for r in rules if r.path in places)
    (kind, *_) = definition.profiles or definition.types or ("BackboneElement",)
    if R4.is_primitive(kind):
        return
    if kind in {"BackboneElement", "Element"} and "." in owner:
        rules = R4.invariants(kind)
        yield from ((r, definition.path, node, context) for r in rules if "." not in r.path)
        yield from _parts(node, definition.path if is_companion else owner, context)
    else:
        yield from _whole(node, kind, context)
