"""FHIRPath for constraints, slices and searches.  http://hl7.org/fhirpath/N1/

    compile("name.where(use = 'official').given").evaluate(patient, "Patient", surroundings)

FHIR's own side of it: https://hl7.org/fhir/R4/fhirpath.html. An expression is compiled once to
closures over the types that R4 defines; `value` finds `valueQuantity`, a primitive's extensions are
found beside it, and a contained resource is of the type it says.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from fhir_b12.fhirpath.compiler import decides, deciding, evaluating
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Run, Surroundings, kind_of
from fhir_b12.fhirpath.operators import truth
from fhir_b12.fhirpath.parser import parse
from fhir_b12.fhirpath.types import Kind, kind_at
from fhir_b12.fhirpath.values import Items, Node, plain, type_name

__all__ = ["Alone", "Expression", "FhirPathError", "Place", "Surroundings", "compile"]


_KEPT = 2_000  #: characters; longer expressions, which are rare, are read each time


class Place(NamedTuple):
    """Something found: where, what, and of which type.

    `path` leads from the node that was evaluated, or where `resolve()` or `%resource` led
    elsewhere, from `origin`. A computed value has no path and no origin. `value` is None for a
    primitive that has only extensions, which are in `companion`.
    """

    path: tuple[str | int, ...] | None
    value: Any
    type: str  #: "Quantity", "BackboneElement", "System.Boolean"
    kind: str  #: the same as `definitions` knows it, to evaluate on: "Observation.component"
    companion: dict[str, Any] | None = None
    origin: Any = None  #: the node its path begins at


class Alone:
    """The surroundings of a resource that knows of nothing else: contained resources only."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.root_resource = resource

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """A contained resource, by `#id`."""
        for each in self.resource.get("contained", ()):
            kind = kind_of(each)
            if kind is not None and f"#{each.get('id')}" == reference:
                return each, kind.name
        return None

    def member_of(self, _url: str, _item: Any) -> bool | None:
        """It cannot be told."""
        return None

    def conforms_to(self, _url: str, _node: Any) -> bool | None:
        """It cannot be told."""
        return None


class Expression:
    """A compiled expression: `compile` makes it.

    The methods take the node's JSON value, its type as `R4.element` knows it (`Patient`,
    `Observation.component`, `Quantity`), what surrounds it, and for a primitive its companion.

    Raises:
        FhirPathError: it cannot be evaluated here: `single()` finds several, a type has no order,
            it takes too many steps.

    """

    __slots__ = ("_decide", "_evaluate", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            tree = parse(source)
            self._evaluate = evaluating(tree)
            self._decide = deciding(tree) if decides(tree) else None
        except RecursionError:
            raise FhirPathError("nested too deeply") from None

    def evaluate(
        self, node: Any, type_path: str, surroundings: Surroundings, companion: Any = None
    ) -> list[Any]:
        """What it finds, as JSON has it: dicts, texts, numbers; None for a value that is absent."""
        start, run = _start(node, type_path, surroundings, companion)
        return [plain(each) for each in self._run(start, run)]

    def places(
        self, node: Any, type_path: str, surroundings: Surroundings, companion: Any = None
    ) -> list[Place]:
        """What it finds, with where it stands."""
        start, run = _start(node, type_path, surroundings, companion)
        return [_place(each) for each in self._run(start, run)]

    def holds(
        self, node: Any, type_path: str, surroundings: Surroundings, companion: Any = None
    ) -> bool:
        """Whether it is true, as the reference validator takes a constraint.

        Nothing and false are not; something that is no Boolean is, be it one item or several.
        """
        start, run = _start(node, type_path, surroundings, companion)
        try:
            if self._decide is None:
                return _is_something(self._evaluate([start], run))
            return self._decide([start], run) is True
        except RecursionError:
            raise FhirPathError("nested too deeply") from None

    def _run(self, start: Node, run: Run) -> Items:
        try:
            return self._evaluate([start], run)
        except RecursionError:
            raise FhirPathError("nested too deeply") from None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def compile(expression: str) -> Expression:  # noqa: A001 - as `re.compile`
    """Read an expression once.

    Raises:
        FhirPathError: it is none of FHIRPath, or asks for what is not supported, with its column.

    """
    return _kept(expression) if len(expression) <= _KEPT else Expression(expression)


@lru_cache(maxsize=2048)
def _kept(expression: str) -> Expression:
    return Expression(expression)


def _start(
    node: Any, type_path: str, surroundings: Surroundings, companion: Any
) -> tuple[Node, Run]:
    kind: Kind | None = kind_at(type_path)
    if kind is None:
        raise FhirPathError(f"R4 has no type {type_path}")
    if kind.name == "Resource":
        kind = kind_of(node) or kind
    start = Node(node, kind, companion)
    return start, Run(start, surroundings)


def _is_something(items: Items) -> bool:
    return truth(items) is True if len(items) == 1 else bool(items)


def _place(item: Any) -> Place:
    if isinstance(item, Node):
        kind = item.kind
        return Place(item.path, item.value, kind.name, kind.path, item.companion, item.root.value)
    name = ".".join(type_name(item))
    return Place(None, plain(item), name, name)
