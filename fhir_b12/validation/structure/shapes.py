"""Shapes: the members that JSON objects may have by R4.  https://hl7.org/fhir/R4/json.html

A shape describes the objects of one type: a resource, a data type or a backbone element. Its key
is the name of the type (`Quantity`) or the path where R4 defines it (`Observation.component`).
Shapes are built when they are first needed.
"""

from functools import cache

from fhir_b12.definitions import R4, Element
from fhir_b12.validation.structure.primitives import JSON_TYPES

ELEMENT = "Element"


class Member:
    """One JSON name of a shape."""

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
        self.many = element.max != 1  #: the value is a JSON array
        self.type = element.types[0] if element.types else ""
        self.stem: str | None = None  #: `value` for `valueQuantity`
        #: JSON type of a primitive: "string", "number" or "boolean"; None for an object
        self.json: str | None = None
        if R4.is_primitive(self.type):
            self.json = JSON_TYPES.get(self.type, "string")
        self.key = self.profile = ""  #: keys of an object's shape and of its profile's
        if self.json is None:
            self.key = _shape_key(element)
            self.profile = self.key
            if element.profiles and element.profiles[0] in R4.data_types:
                self.profile = element.profiles[0]

    @property
    def is_required_code(self) -> bool:
        """True for a code with a required binding."""
        return self.type == "code" and self.element.strength == "required"

    @property
    def is_resource(self) -> bool:
        """True for a resource of any type: contained, an entry of a Bundle."""
        return self.type == "Resource"


class Shape:
    """The members of an object by their JSON names, in R4's order."""

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
        #: `valueQuantity` and `_valueString` -> `value`, for every choice
        self.choices = self._read_choices()

    def _read_choices(self) -> dict[str, str]:
        stems: dict[str, str] = {}
        for name, member in self.members.items():
            last = member.element.defined.rpartition(".")[2]
            if last.endswith("[x]"):
                member.stem = stems[name] = last.removesuffix("[x]")
        return stems


def _shape_key(element: Element) -> str:
    if element.content:
        return element.content
    if element.types[0] in {"BackboneElement", ELEMENT} and R4.children(element.path) != (
        R4.children(element.types[0])
    ):
        return element.defined
    return element.types[0]


@cache
def get_shape(key: str) -> Shape:
    """Return the shape with a key: `Observation`, `Observation.component`, `Quantity`."""
    return Shape(key)
