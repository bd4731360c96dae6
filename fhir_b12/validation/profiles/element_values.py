"""Values of elements with what checks of profiles need to know of them.

https://hl7.org/fhir/R4/json.html#primitive
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fhir_b12.validation.context import ResourceContext
from fhir_b12.validation.findings import Findings


class ElementValue(NamedTuple):
    """A value of an element with its companion and its type.

    The type is a type of R4, or the path of an element whose children R4 defines inline:
    "Observation.component".
    """

    value: Any
    companion: Any  #: the object beside a primitive: that of `_birthDate`
    type: str
    context: ResourceContext | None = None  #: of a resource that a reference leads to


#: Appends the faults of a value; their paths start at the value.
ValueCheck = Callable[[ElementValue, ResourceContext, Findings], None]
#: Whether a value belongs to a slice.
SliceTest = Callable[[ElementValue, ResourceContext], bool]
#: Whether a value conforms to a profile.
ConformsTo = Callable[[ElementValue, str, ResourceContext], bool]


def pair_companions(value: Any, companion: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the values of an element, each with its companion; one pair if it is no list."""
    if isinstance(value, list) or isinstance(companion, list):
        values = value if isinstance(value, list) else []
        companions = companion if isinstance(companion, list) else []
        for index in range(max(len(values), len(companions))):
            yield (
                values[index] if index < len(values) else None,
                companions[index] if index < len(companions) else None,
            )
    elif value is not None or companion is not None:
        yield value, companion
