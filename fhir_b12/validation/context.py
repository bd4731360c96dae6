"""Where a node stands: its resource, what holds that, and what it can point to."""

from collections.abc import Callable
from typing import Any, Protocol

from fhir_b12.validation.findings import Finding

Node = Any  #: a JSON value: dict, list, str, bool, int, Decimal


class Misshapen(Exception):  # noqa: N818  # no error: the thorough walk will say what is wrong
    """A check met what is badly shaped and what the quick look at shapes had not seen."""


class Context:
    """The surroundings of the nodes of one resource.

    What a check sees is well shaped: each element is one its type knows, a list where R4 says so
    and nowhere else, an object or a JSON value of the right kind; what was not is already found and
    has been taken out. Values may still be wrong: a date may be none.
    """

    __slots__ = (
        "_contained",
        "_entries",
        "container",
        "extended",
        "full_url",
        "hasty",
        "holders",
        "memo",
        "neighbours",
        "pointed_at",
        "resource",
        "type",
        "validator",
    )

    def __init__(
        self,
        resource: dict[str, Any],
        validator: "Services",
        *,
        container: "Context | None" = None,
        neighbours: "Neighbours | None" = None,
        full_url: str | None = None,
        hasty: bool = False,
    ) -> None:
        self.hasty = hasty  #: whether the shape was looked at quickly; see `fitting.Misshapen`
        self.resource = resource  #: %resource
        self.type: str = resource["resourceType"]
        self.container = container  #: of a contained resource: that of the one that holds it
        self.neighbours = neighbours  #: of an entry: the Bundle it stands in
        self.full_url = full_url  #: of an entry
        self.pointed_at: set[str] = set()  #: ids of contained resources it refers to itself
        self.extended = 0  #: how many lists of extensions were met in it
        self.holders: set[int] = set()  #: ids of the objects that have one or hold what has one
        self.validator = validator
        self.memo: dict[
            Any, Any
        ] = {}  #: what checks have found out of this resource, by their keys
        self._contained: dict[str, Context] | None = None
        self._entries: Neighbours | None = None

    @property
    def root(self) -> "Context":
        """%rootResource: the resource itself, or the one that contains it."""
        return self.container or self

    def contained(self) -> "dict[str, Context]":
        """The contained resources of the root by id."""
        if self.container is not None:
            return self.container.contained()
        if self._contained is None:
            self._contained = {}
            for each in self.resource.get("contained", ()):
                if isinstance(name := each.get("id"), str):
                    here = Context(
                        each,
                        self.validator,
                        container=self,
                        neighbours=self.neighbours,
                        full_url=self.full_url,
                        hasty=self.hasty,
                    )
                    self._contained.setdefault(name, here)
        return self._contained

    def entries(self, build: Callable[["Context"], "Neighbours"]) -> "Neighbours":
        """The entries of this resource, a Bundle, as `build` indexed them at the first asking."""
        if self._entries is None:
            self._entries = build(self)
        return self._entries

    def resolve(self, reference: str) -> "Context | None":
        """What a reference points to: contained, or in the same Bundle; None where it is not here.

        https://hl7.org/fhir/R4/references.html and https://hl7.org/fhir/R4/bundle.html#references
        """
        if reference.startswith("#"):
            return self.container if reference == "#" else self.contained().get(reference[1:])
        if self.neighbours is None:
            return None
        return self.neighbours.find(reference, self.root.full_url)


class Neighbours(Protocol):
    """The entries of a Bundle."""

    @property
    def type(self) -> str | None:
        """Bundle.type."""
        ...

    def find(self, reference: str, base: str | None) -> Context | None:
        """The entry a reference means, as seen from the entry of that fullUrl."""
        ...


class Services(Protocol):
    """What checks may ask of the validator that runs them."""

    @property
    def canonicals(self) -> Any:
        """R4's own definitions and those of the packages: `definitions.canonicals.Canonicals`."""
        ...

    @property
    def terminology(self) -> Any:
        """What is known of codes: `validation.terminology.Terminology`."""
        ...

    def conforms(self, context: Context, profile: str, found: list[Finding]) -> bool | None:
        """Check a whole resource against a profile; None where the profile is not known."""
        ...
