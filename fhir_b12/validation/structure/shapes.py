"""What R4 lets stand where, compiled for a walk over JSON.  https://hl7.org/fhir/R4/json.html

A shape is one kind of object: a resource, a data type or a backbone element. It is known by a key:
the name of its type (`Quantity`) or the place where R4 defines it (`Observation.component`). Shapes
are made when they are first met.
"""

from functools import cache

from fhir_b12.definitions import R4, Element
from fhir_b12.validation.structure.primitives import JSON_TYPES

ELEMENT = "Element"


class Member:
    """One JSON name in a shape."""

    __slots__ = (
        "companion_of",
        "element",
        "json",
        "key",
        "many",
        "name",
        "profile",
        "stem",
        "type",
    )

    def __init__(self, name: str, element: Element, companion_of: str | None = None) -> None:
        self.name = name
        self.element = element
        self.companion_of = companion_of  #: `birthDate` for `_birthDate`
        self.many = element.max != 1  #: whether JSON writes a list
        self.type = element.types[0] if element.types else ""
        self.stem: str | None = None  #: `value` for `valueQuantity`
        #: what JSON writes a primitive as, None for objects
        self.json: str | None = None
        if R4.is_primitive(self.type):
            self.json = JSON_TYPES.get(self.type, "string")
        self.key = self.profile = ""  #: the shape of an object, and that of its restriction
        if self.json is None:
            self.key = _key(element)
            self.profile = self.key
            if element.profiles and element.profiles[0] in R4.data_types:
                self.profile = element.profiles[0]

    @property
    def is_required_code(self) -> bool:
        """True of a code that must be of a value set."""
        return self.type == "code" and self.element.strength == "required"

    @property
    def is_resource(self) -> bool:
        """True where any resource may stand: contained, an entry of a Bundle."""
        return self.type == "Resource"


class Shape:
    """The members an object may have by their JSON names, in R4's order."""

    __slots__ = ("choices", "is_resource", "key", "members")

    def __init__(self, key: str) -> None:
        self.key = key
        self.is_resource = R4.is_resource(key)
        self.members: dict[str, Member] = {}
        for name in R4.children(key):
            element = R4.element(f"{key}.{name}")
            assert element is not None
            self.members[name] = Member(name, element)
            companion = R4.element(f"{key}._{name}")
            if companion is not None:
                self.members[f"_{name}"] = Member(f"_{name}", companion, companion_of=name)
        #: JSON name of a choice's spelling (and of its companion) -> its stem
        self.choices = self._choices()

    def _choices(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, member in self.members.items():
            last = member.element.defined.rpartition(".")[2]
            if last.endswith("[x]"):
                member.stem = found[name] = last.removesuffix("[x]")
        return found


def _key(element: Element) -> str:
    if element.content:
        return element.content
    if element.types[0] in {"BackboneElement", ELEMENT} and R4.children(element.path) != (
        R4.children(element.types[0])
    ):
        return element.defined
    return element.types[0]


@cache
def shape(key: str) -> Shape:
    """The shape of that key: `Observation`, `Observation.component`, `Quantity`."""
    return Shape(key)
