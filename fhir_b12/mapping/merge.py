"""Change what a record says in a resource and keep what it does not know."""

from copy import deepcopy
from typing import Any

from fhir_b12.mapping.codecs import same


def put(resource: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set the value at a path, or remove it with None; parents are copied, never changed."""
    *parents, name = path
    node = resource
    trail = [(node, "")]
    for parent in parents:
        if parent not in node and value is None:
            return
        node[parent] = dict(node.get(parent) or {})
        node = node[parent]
        trail.append((node, parent))
    if value is None:
        node.pop(name, None)
    else:
        node[name] = value
    for (outer, _), (inner, key) in zip(reversed(trail[:-1]), reversed(trail[1:]), strict=True):
        if not inner:
            outer.pop(key, None)


def merge(current: Any, old: Any, new: Any) -> Any:
    """What stands in the resource, moved from what was read (`old`) to what is wanted (`new`)."""
    if same(old, new):
        return current
    if isinstance(current, dict) and isinstance(old, dict) and isinstance(new, dict):
        return _object(current, old, new)
    if isinstance(current, list) and isinstance(old, list) and isinstance(new, list):
        return _array(current, old, new)
    return deepcopy(new)


def _object(current: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    result = {
        name: _member(value, old.get(name), new[name]) if name in new else value
        for name, value in current.items()
        if name in new or name not in old
    }
    return result | {name: deepcopy(new[name]) for name in new if name not in result}


def _member(current: Any, old: Any, new: Any) -> Any:
    """A scalar that was spelled otherwise is spelled anew: a unit's text goes with its code."""
    if not isinstance(current, dict | list) and not same(current, old):
        return deepcopy(new)
    return merge(current, old, new)


def _array(current: list[Any], old: list[Any], new: list[Any]) -> list[Any]:
    """Items that stay keep what is unknown in them; a changed one at its own place does too."""
    if len(current) != len(old):
        return deepcopy(new)
    free = set(range(len(old)))
    source: dict[int, int] = {}
    for j, item in enumerate(new):
        equal = [i for i in sorted(free, key=lambda i: (i != j, i)) if same(old[i], item)]
        if equal:
            source[j] = equal[0]
            free.discard(equal[0])
    result = []
    for j, item in enumerate(new):
        if j in source:
            result.append(current[source[j]])
        elif j in free and len(old) == len(new):
            result.append(merge(current[j], old[j], item))
        else:
            result.append(deepcopy(item))
    return result
