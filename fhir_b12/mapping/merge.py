"""Change what a record says in a resource and keep what it does not know."""

from copy import deepcopy
from typing import Any

from fhir_b12.mapping.codecs import dump, same


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
    for name, value in current.items():
        if name[0:1] == "_" and isinstance(value, list) and name[1:] in old and name[1:] in new:
            moved = _companions(value, old[name[1:]], new[name[1:]])
            result[name] = moved
            if not any(moved):
                del result[name]
    return result | {name: deepcopy(new[name]) for name in new if name not in result}


def _member(current: Any, old: Any, new: Any) -> Any:
    """A scalar that was spelled otherwise is spelled anew: a unit's text goes with its code."""
    if not isinstance(current, dict | list) and not same(current, old):
        return deepcopy(new)
    return merge(current, old, new)


def _array(current: list[Any], old: list[Any], new: list[Any]) -> list[Any]:
    """Items that stay keep what is unknown in them; a changed one in its place does too."""
    if len(current) != len(old):
        return deepcopy(new)
    return [
        deepcopy(item) if i is None else merge(current[i], old[i], item)
        for i, item in zip(_origins(old, new), new, strict=True)
    ]


def _companions(current: list[Any], old: list[Any], new: list[Any]) -> list[Any]:
    """Extensions of primitives go with them.  https://hl7.org/fhir/R4/json.html#primitive"""
    held = dict(enumerate(current))
    return [None if i is None else held.get(i) for i in _origins(old, new)]


def _origins(old: list[Any], new: list[Any]) -> list[int | None]:
    """For each new item the index of the old one that it is or was, None for one that is added.

    Equal items are the same. Between two of these, as many changed items as there were are those.
    """
    free: dict[bytes, list[int]] = {}
    for i, item in enumerate(old):
        free.setdefault(dump(item), []).append(i)
    found: list[int | None] = []
    for j, item in enumerate(new):
        equal = free.get(dump(item))
        found.append(equal.pop(equal.index(j) if j in equal else 0) if equal else None)
    taken = {i for i in found if i is not None}
    added = {j for j, i in enumerate(found) if i is None}
    for start in sorted(j for j in added if j - 1 not in added):
        end = next((j for j in range(start, len(new)) if found[j] is not None), len(new))
        left, right = found[start - 1] if start else -1, found[end] if end < len(new) else len(old)
        assert left is not None
        assert right is not None
        between = range(left + 1, right)
        if len(between) == end - start and taken.isdisjoint(between):
            found[start:end] = between
    return found
