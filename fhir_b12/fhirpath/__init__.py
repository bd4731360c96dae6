"""FHIRPath for constraints, slices and searches.  http://hl7.org/fhirpath/N1/

    compile("name.where(use = 'official').given").evaluate(patient, "Patient", surroundings)

FHIR's own side of it: https://hl7.org/fhir/R4/fhirpath.html. An expression is compiled once to
closures over the types that R4 defines; `value` finds `valueQuantity`, a primitive's extensions are
found beside it, and a contained resource is of the type it says.
"""

from functools import lru_cache
from typing import Any, NamedTuple

from fhir_b12.fhirpath.compiler import compile_condition, compile_evaluator, returns_boolean
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Environment, Evaluation, type_of_resource
from fhir_b12.fhirpath.operators import to_boolean_operand
from fhir_b12.fhirpath.parser import parse
from fhir_b12.fhirpath.types import TypeInfo, type_at
from fhir_b12.fhirpath.values import DataNode, Items, plain, type_name

__all__ = [
    "Environment",
    "Expression",
    "FhirPathError",
    "LocatedValue",
    "StandaloneEnvironment",
    "compile",
]


_MAX_CACHED_LENGTH = 2_000  #: characters; longer expressions, which are rare, are read each time


class LocatedValue(NamedTuple):
    """Something found: where, what, and of which type.

    `path` leads from the node that was evaluated, or where `resolve()` or `%resource` led
    elsewhere, from `origin`. A computed value has no path and no origin. `value` is None for a
    primitive that has only extensions, which are in `companion`.
    """

    path: tuple[str | int, ...] | None
    value: Any
    type: str  #: "Quantity", "BackboneElement", "System.Boolean"
    type_path: str  #: the same as `definitions` knows it, to evaluate on: "Observation.component"
    companion: dict[str, Any] | None = None
    origin: Any = None  #: the node its path begins at


class StandaloneEnvironment:
    """The surroundings of a resource that knows of nothing else: contained resources only."""

    def __init__(self, resource: dict[str, Any]) -> None:
        self.resource = resource
        self.root_resource = resource

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """A contained resource, by `#id`."""
        for each in self.resource.get("contained", ()):
            type_info = type_of_resource(each)
            if type_info is not None and f"#{each.get('id')}" == reference:
                return each, type_info.name
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

    __slots__ = ("_condition", "_evaluate", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        try:
            tree = parse(source)
            self._evaluate = compile_evaluator(tree)
            self._condition = compile_condition(tree) if returns_boolean(tree) else None
        except RecursionError:
            raise FhirPathError("nested too deeply") from None

    def evaluate(
        self, node: Any, type_path: str, environment: Environment, companion: Any = None
    ) -> list[Any]:
        """What it finds, as JSON has it: dicts, texts, numbers; None for a value that is absent."""
        start, evaluation = _start(node, type_path, environment, companion)
        return [plain(each) for each in self._evaluate_from(start, evaluation)]

    def locate(
        self, node: Any, type_path: str, environment: Environment, companion: Any = None
    ) -> list[LocatedValue]:
        """What it finds, with where it stands."""
        start, evaluation = _start(node, type_path, environment, companion)
        return [_locate(each) for each in self._evaluate_from(start, evaluation)]

    def is_satisfied(
        self, node: Any, type_path: str, environment: Environment, companion: Any = None
    ) -> bool:
        """Whether it is true, as the reference validator takes a constraint.

        Nothing and false are not; something that is no Boolean is, be it one item or several.
        """
        start, evaluation = _start(node, type_path, environment, companion)
        try:
            if self._condition is None:
                return _is_satisfied(self._evaluate([start], evaluation))
            return self._condition([start], evaluation) is True
        except RecursionError:
            raise FhirPathError("nested too deeply") from None

    def _evaluate_from(self, start: DataNode, evaluation: Evaluation) -> Items:
        try:
            return self._evaluate([start], evaluation)
        except RecursionError:
            raise FhirPathError("nested too deeply") from None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def compile(expression: str) -> Expression:  # noqa: A001 - as `re.compile`
    """Read an expression once.

    Raises:
        FhirPathError: it is none of FHIRPath, or asks for what is not supported, with its column.

    """
    return (
        _compile_cached(expression)
        if len(expression) <= _MAX_CACHED_LENGTH
        else Expression(expression)
    )


@lru_cache(maxsize=2048)
def _compile_cached(expression: str) -> Expression:
    return Expression(expression)


def _start(
    node: Any, type_path: str, environment: Environment, companion: Any
) -> tuple[DataNode, Evaluation]:
    type_info: TypeInfo | None = type_at(type_path)
    if type_info is None:
        raise FhirPathError(f"R4 has no type {type_path}")
    if type_info.name == "Resource":
        type_info = type_of_resource(node) or type_info
    start = DataNode(node, type_info, companion)
    return start, Evaluation(start, environment)


def _is_satisfied(items: Items) -> bool:
    return to_boolean_operand(items) is True if len(items) == 1 else bool(items)


def _locate(item: Any) -> LocatedValue:
    if isinstance(item, DataNode):
        type_info = item.type_info
        return LocatedValue(
            item.path, item.value, type_info.name, type_info.path, item.companion, item.root.value
        )
    name = ".".join(type_name(item))
    return LocatedValue(None, plain(item), name, name)
