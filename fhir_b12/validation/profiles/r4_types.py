"""Questions on R4's types.  https://hl7.org/fhir/R4/types.html"""

from functools import lru_cache

from fhir_b12.definitions import R4, Element

_INLINE = frozenset({"BackboneElement", "Element"})


@lru_cache(maxsize=4096)
def is_subtype(type_name: str, ancestor: str) -> bool:
    """Return True if a type is another type or derived from it."""
    current: str | None = type_name
    while current is not None and current != ancestor:
        current = R4.base(current)
    return current is not None


def content_type(path: str, element: Element | None = None) -> str:
    """Return the type that defines the children of an element.

    Args:
        path: Path of the element in R4: "Observation.component".
        element: R4's definition of it, looked up if None.

    Returns:
        A type such as "CodeableConcept"; the path itself if R4 defines the children there;
        "Element" for a path that R4 does not have.

    """
    element = element or R4.element(path)
    if element is None:
        return "Element"
    if element.content:
        return element.content
    type_name = element.types[0] if element.types else "Element"
    return path if type_name in _INLINE else type_name
