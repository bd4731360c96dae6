"""FHIRPath for constraints, slices and search parameters.  http://hl7.org/fhirpath/N1/

    compile("name.where(use = 'official').given").evaluate(patient, "Patient", environment)

With FHIR's additions: https://hl7.org/fhir/R4/fhirpath.html. An expression is compiled once to
closures over the types of a release. `value` finds `valueQuantity`, the extensions of a primitive
are found in its companion, and a contained resource has the type that it states.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from fhir_b12.definitions import R4, Release
from fhir_b12.fhirpath.compiler import (
    compile_condition,
    compile_evaluator,
    returns_boolean,
    to_evaluator,
)
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Condition, Environment, Evaluation, Evaluator
from fhir_b12.fhirpath.operators import to_boolean_operand
from fhir_b12.fhirpath.parser import parse
from fhir_b12.fhirpath.types import types_of
from fhir_b12.fhirpath.values import DataNode, Items, plain, type_name

__all__ = [
    "Environment",
    "Expression",
    "FhirPathError",
    "LocatedValue",
    "StandaloneEnvironment",
    "compile",
]

T = TypeVar("T")

_MAX_CACHED_LENGTH = 2_000  #: characters; longer expressions, which are rare, are not cached


class LocatedValue(NamedTuple):
    """A value in the result of an expression, with its path and type.

    `path` starts at the node that was evaluated, or at `origin` if `resolve()` or `%resource` led
    to another one. A computed value has no path and no origin. `value` is None for a primitive
    that has only extensions, which are in `companion`.
    """

    path: tuple[str | int, ...] | None
    value: Any
    type: str  #: "Quantity", "BackboneElement", "System.Boolean"
    type_path: str  #: the type as `Release.element` knows it: "Observation.component"
    companion: dict[str, Any] | None = None
    origin: Any = None  #: node at which the path starts


class StandaloneEnvironment:
    """Environment of a single resource: resolves contained resources, knows no terminology."""

    def __init__(self, resource: dict[str, Any], release: Release = R4) -> None:
        self.resource = resource
        self.root_resource = resource
        self._types = types_of(release)

    def resolve(self, reference: str) -> tuple[dict[str, Any], str] | None:
        """Return the contained resource that `#id` refers to and its type, None if missing."""
        for contained in self.resource.get("contained", ()):
            type_info = self._types.of_resource(contained)
            if type_info is not None and f"#{contained.get('id')}" == reference:
                return contained, type_info.name
        return None

    def member_of(self, _url: str, _item: Any) -> bool | None:
        """Return None: membership in a value set is unknown here."""
        return None

    def conforms_to(self, _url: str, _node: Any) -> bool | None:
        """Return None: conformance to a profile is unknown here."""
        return None


class Expression:
    """A compiled expression; get one from `compile`.

    The methods take the same arguments and raise the same error.

    Args:
        node: JSON value to evaluate on, a dict or a primitive.
        type_path: type of the node as `Release.element` knows it: `Patient`, `Quantity`,
            `Observation.component`.
        environment: what the expression may use beyond the node.
        companion: the `_name` object of a primitive.

    Raises:
        FhirPathError: The expression cannot be evaluated on this node: `single()` on several
            items, a comparison of values without order, too many steps.

    """

    __slots__ = ("_condition", "_evaluate", "_types", "source")

    def __init__(self, source: str, release: Release = R4) -> None:
        self.source = source
        self._types = types_of(release)
        try:
            tree = parse(source)
            if returns_boolean(tree):
                self._condition = compile_condition(tree, self._types)
                self._evaluate = to_evaluator(self._condition)
            else:
                self._evaluate = compile_evaluator(tree, self._types)
                self._condition = _any_item(self._evaluate)
        except RecursionError:
            raise FhirPathError("the expression is nested too deeply: simplify it") from None

    def evaluate(
        self, node: Any, type_path: str, environment: Environment, companion: Any = None
    ) -> list[Any]:
        """Return the result as JSON values; None for a primitive without a value."""
        items = self._run(self._evaluate, node, type_path, environment, companion)
        return list(map(plain, items))

    def locate(
        self, node: Any, type_path: str, environment: Environment, companion: Any = None
    ) -> list[LocatedValue]:
        """Return the result with the path and type of each value."""
        items = self._run(self._evaluate, node, type_path, environment, companion)
        return list(map(_locate, items))

    def is_satisfied(
        self, node: Any, type_path: str, environment: Environment, companion: Any = None
    ) -> bool:
        """Return True if the node satisfies the expression as a constraint.

        As in HL7's validator, an empty result and false do not satisfy; one or several items that
        are not Boolean do.
        """
        return self._run(self._condition, node, type_path, environment, companion) is True

    def _run(
        self,
        function: Callable[[Items, Evaluation], T],
        node: Any,
        type_path: str,
        environment: Environment,
        companion: Any,
    ) -> T:
        """Call the compiled expression with the node as $this."""
        type_info = self._types.type_at(type_path)
        if type_info is None:
            raise FhirPathError(f"{self._types.release.name} has no type {type_path}")
        if type_info.name == "Resource":
            type_info = self._types.of_resource(node) or type_info
        start = DataNode(node, type_info, companion)
        try:
            return function([start], Evaluation(start, environment))
        except RecursionError:
            raise FhirPathError("the data are nested too deeply") from None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def compile(expression: str, release: Release = R4) -> Expression:  # noqa: A001 - as `re.compile`
    """Compile an expression, or return it from the cache.

    Args:
        expression: text of the expression.
        release: release of FHIR whose types it is about.

    Returns:
        The compiled expression.

    Raises:
        FhirPathError: The text is not FHIRPath or uses an unsupported function; with its column.

    """
    if len(expression) > _MAX_CACHED_LENGTH:
        return Expression(expression, release)
    return _compile_cached(expression, release)


@lru_cache(maxsize=2048)
def _compile_cached(expression: str, release: Release) -> Expression:
    return Expression(expression, release)


def _any_item(evaluate: Evaluator) -> Condition:
    """Return a condition that is satisfied by any items except a single false."""

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        items = evaluate(this, evaluation)
        return to_boolean_operand(items) if len(items) == 1 else bool(items)

    return decide


def _locate(item: Any) -> LocatedValue:
    if isinstance(item, DataNode):
        type_info = item.type_info
        return LocatedValue(
            item.path, item.value, type_info.name, type_info.path, item.companion, item.root.value
        )
    name = ".".join(type_name(item))
    return LocatedValue(None, plain(item), name, name)
