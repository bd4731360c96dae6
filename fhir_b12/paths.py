"""Element paths: the value at a path, and all leaves of a resource."""

from collections.abc import Iterator
from typing import Any


def at(node: Any, path: tuple[str, ...]) -> Any:
    """Return the value at an element path, None if missing or below a list."""
    for name in path:
        if node.__class__ is not dict:
            return None
        node = node.get(name)
    return node


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value of every leaf; an empty object or list is a leaf too."""
    if node.__class__ is dict and node:
        for name, child in node.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    elif node.__class__ is list and node:
        for index, child in enumerate(node):
            yield from leaves(child, f"{path}[{index}]")
    else:
        yield path, node
