"""Element paths: walk to a place in a resource, and list every leaf."""

from collections.abc import Iterator
from typing import Any


def at(node: Any, path: tuple[str, ...]) -> Any:
    """The value at an element path, None where there is none or a list stands in between."""
    for name in path:
        if node.__class__ is not dict:
            return None
        node = node.get(name)
    return node


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; an empty object or list is a leaf too."""
    if node.__class__ is dict and node:
        for name, child in node.items():
            yield from leaves(child, f"{path}.{name}" if path else name)
    elif node.__class__ is list and node:
        for index, child in enumerate(node):
            yield from leaves(child, f"{path}[{index}]")
    else:
        yield path, node
