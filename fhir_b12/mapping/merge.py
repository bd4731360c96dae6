"""Merge the changes of a record into a resource, keeping data that the record does not have."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from fhir_b12.mapping.codecs import dump, same
from fhir_b12.paths import at


def put(resource: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set the value at a path, or remove it if None; copy its parents instead of changing them."""
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
    """Return `current` with the difference between `old` (as read) and `new` applied."""
    if same(old, new):
        return current
    if isinstance(current, dict) and isinstance(old, dict) and isinstance(new, dict):
        return _merge_object(current, old, new)
    if isinstance(current, list) and isinstance(old, list) and isinstance(new, list):
        return _merge_array(current, old, new)
    return deepcopy(new)


def move_extensions(resource: dict[str, Any], path: tuple[str, ...], old: Any, new: Any) -> None:
    """Update `_name`, the extensions of a primitive, after its value changed from old to new."""
    name = f"_{path[-1]}"
    parent = at(resource, path[:-1])
    current = parent.get(name) if isinstance(parent, dict) else None
    if current is not None:
        put(resource, (*path[:-1], name), _merge_companion(current, old, new))


def _merge_companion(current: Any, old: Any, new: Any) -> Any:
    """Return the value of `_name` when `name` changes from old to new, None to remove it.

    Extensions of a missing or removed value are not extensions of another value.
    https://hl7.org/fhir/R4/json.html#primitive
    """
    if old is None or new is None:
        return current if old is new else None
    if isinstance(current, list) and isinstance(old, list) and isinstance(new, list):
        by_index = dict(enumerate(current))
        moved = [None if i is None else by_index.get(i) for i in _origins(old, new)]
        return moved if any(moved) else None
    return current


def _merge_object(
    current: dict[str, Any], old: dict[str, Any], new: dict[str, Any]
) -> dict[str, Any]:
    """Merge the members of an object; those that the record does not have stay."""
    result = {}
    for name, value in current.items():
        if name in new:
            result[name] = _merge_member(value, old.get(name), new[name])
        elif name[:1] == "_" and name not in old:
            beside = _merge_companion(value, old.get(name[1:]), new.get(name[1:]))
            result |= {} if beside is None else {name: beside}
        elif name not in old:
            result[name] = value
    return result | {name: deepcopy(new[name]) for name in new if name not in result}


def _merge_member(current: Any, old: Any, new: Any) -> Any:
    """Merge a member; replace a scalar that reading had normalized, e.g. a unit by its code."""
    if not isinstance(current, dict | list) and not same(current, old):
        return deepcopy(new)
    return merge(current, old, new)


def _merge_array(current: list[Any], old: list[Any], new: list[Any]) -> list[Any]:
    """Merge a list; unchanged and changed items keep their unmapped data."""
    if len(current) != len(old):
        return deepcopy(new)
    return [
        deepcopy(item) if i is None else merge(current[i], old[i], item)
        for i, item in zip(_origins(old, new), new, strict=True)
    ]


def _origins(old: list[Any], new: list[Any]) -> list[int | None]:
    """Return for each new item the index of its old item, None for an added one.

    Equal items are matched first. Between two of these, a changed item is matched to the most
    similar old item, or by position if there are as many old as new items.
    """
    free: dict[bytes, list[int]] = {}
    for i, item in enumerate(old):
        free.setdefault(dump(item), []).append(i)
    origins: list[int | None] = []
    for j, item in enumerate(new):
        equal = free.get(dump(item))
        origins.append(equal.pop(equal.index(j) if j in equal else 0) if equal else None)
    taken = {i for i in origins if i is not None}
    added = {j for j, i in enumerate(origins) if i is None}
    for start in sorted(j for j in added if j - 1 not in added):
        end = next((j for j in range(start, len(new)) if origins[j] is not None), len(new))
        left, right = (
            origins[start - 1] if start else -1,
            origins[end] if end < len(new) else len(old),
        )
        assert left is not None
        assert right is not None
        between = [i for i in range(left + 1, right) if i not in taken]
        for i, j in _pair_similar(old, new, between, list(range(start, end))):
            origins[j] = i
    return origins


_MOST_COMPARED = 30  #: largest number of changed items between two equal ones that are compared


def _pair_similar(
    old: list[Any], new: list[Any], removed: list[int], added: list[int]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of an old and a new item, the most similar first."""
    if max(len(removed), len(added)) <= _MOST_COMPARED:
        scored = [(-_similarity(old[i], new[j]), abs(i - j), i, j) for i in removed for j in added]
        for score, _, i, j in sorted(scored):
            if score and i in removed and j in added:
                removed.remove(i)
                added.remove(j)
                yield i, j
    if len(removed) == len(added):
        yield from zip(removed, added, strict=True)


def _similarity(old: Any, new: Any) -> int:
    """Return the number of members that two objects have in common."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return 0
    return sum(name in old and same(old[name], value) for name, value in new.items())
