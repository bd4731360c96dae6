"""Compiler from the syntax tree to closures, so that decisions are made once per expression.

A node becomes an evaluator `evaluate($this, evaluation)`, or if its result is Boolean a condition
`decide($this, evaluation)`. A step of a chain also receives the result of the previous step.
http://hl7.org/fhirpath/N1/#expressions
"""

from collections.abc import Callable
from decimal import Decimal

from fhir_b12 import aliases
from fhir_b12.fhirpath import (
    collection_functions,
    conversion_functions,
    fhir_functions,
    math_functions,
    string_functions,
)
from fhir_b12.fhirpath.collection_functions import is_in, is_of_type, is_type, union
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Condition, Evaluation, Evaluator, children_named
from fhir_b12.fhirpath.function_registry import FUNCTIONS, UNSUPPORTED, Function, Mode
from fhir_b12.fhirpath.invocation import BooleanStep, Step, build_boolean_step, build_step
from fhir_b12.fhirpath.operators import (
    calculate,
    compare,
    concatenate,
    equals,
    equivalent,
    single_value,
    to_boolean_operand,
)
from fhir_b12.fhirpath.syntax_tree import (
    Chain,
    EnvironmentVariable,
    FunctionCall,
    Identifier,
    Indexer,
    Literal,
    Operation,
    SpecialVariable,
    SyntaxNode,
    TypeExpression,
    UnaryOperation,
)
from fhir_b12.fhirpath.types import SYSTEM_TYPES, TypeRegistry
from fhir_b12.fhirpath.values import DataNode, Items, Quantity, system
from fhir_b12.suggestions import did_you_mean

#: Importing these fills `FUNCTIONS`.
LIBRARY = (
    math_functions,
    collection_functions,
    conversion_functions,
    fhir_functions,
    string_functions,
)

_ORDER_OPERATORS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}
_LOGIC_OPERATORS = frozenset({"and", "or", "xor", "implies"})
#: https://hl7.org/fhir/R4/fhirpath.html#variables
_CONSTANTS = {
    "ucum": aliases.UCUM,
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_VARIABLES = ("resource", "rootResource", "context", *_CONSTANTS)
_PREFIXED = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def compile_evaluator(part: SyntaxNode, types: TypeRegistry) -> Evaluator:
    """Compile a node to a function that returns a collection."""
    if isinstance(part, Literal):
        items = [] if part.value is None else [part.value]
        return lambda _this, _evaluation: items
    if isinstance(part, Identifier):
        return _compile_identifier(part.name)
    if isinstance(part, SpecialVariable):
        return _SPECIAL[part.name]
    if isinstance(part, EnvironmentVariable):
        return _compile_variable(part)
    if isinstance(part, Chain):
        return _compile_chain(part, types)
    if isinstance(part, FunctionCall) and not _find_function(part).returns_boolean:
        step = build_step(_find_function(part), _compile_arguments(part, types), part.column)
        return lambda this, evaluation: step(this, this, evaluation)
    if isinstance(part, UnaryOperation):
        return _compile_unary(part, types)
    if isinstance(part, TypeExpression) and part.sign == "as":
        operand, name = (
            compile_evaluator(part.operand, types),
            _check_type_name(part.type, part.column, types),
        )
        return lambda this, evaluation: [
            item for item in operand(this, evaluation) if is_type(item, name)
        ]
    if isinstance(part, Operation) and part.sign in {"+", "-", "*", "/", "div", "mod", "&", "|"}:
        return _compile_left_fold(part, types)
    decide = compile_condition(part, types)

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        result = decide(this, evaluation)
        return [] if result is None else [result]

    return evaluate


def returns_boolean(part: SyntaxNode) -> bool:
    """Return True if the result of a node is always True, False or empty."""
    if isinstance(part, Chain):
        return returns_boolean(part.steps[-1] if part.steps else part.head)
    if isinstance(part, FunctionCall):
        return _find_function(part).returns_boolean
    if isinstance(part, Operation):
        return part.sign in _LOGIC_OPERATORS or part.sign in _RELATIONAL_OPERATORS
    return isinstance(part, TypeExpression) and part.sign == "is"


def compile_condition(part: SyntaxNode, types: TypeRegistry) -> Condition:
    """Compile a node to a function that returns True, False or None for empty."""
    if not returns_boolean(part):
        evaluate = compile_evaluator(part, types)
        return lambda this, evaluation: to_boolean_operand(evaluate(this, evaluation))
    if isinstance(part, Chain) and not part.steps:
        return compile_condition(part.head, types)
    if isinstance(part, Chain):
        last = part.steps[-1]
        assert isinstance(last, FunctionCall)
        step = build_boolean_step(
            _find_function(last), _compile_arguments(last, types), last.column
        )
        return _compile_boolean_chain(part, step, types)
    if isinstance(part, FunctionCall):
        step = build_boolean_step(
            _find_function(part), _compile_arguments(part, types), part.column
        )
        return lambda this, evaluation: step(this, this, evaluation)
    if isinstance(part, Operation) and part.sign in _LOGIC_OPERATORS:
        return _compile_logic(part, types)
    if isinstance(part, Operation):
        return _compile_relation(part, types)
    assert isinstance(part, TypeExpression)
    operand, name = (
        compile_evaluator(part.operand, types),
        _check_type_name(part.type, part.column, types),
    )
    return lambda this, evaluation: is_of_type(operand(this, evaluation), evaluation, name)


# --- terms


def _compile_identifier(name: str) -> Evaluator:
    """Compile the first name of an expression: a child of $this, or a type as `Observation`."""
    if not name[:1].isupper():
        return lambda this, evaluation: children_named(this, name, evaluation)
    return lambda this, _evaluation: [
        item for item in this if item.__class__ is DataNode and name in item.type_info.ancestors
    ]


_SPECIAL: dict[str, Evaluator] = {
    "this": lambda this, _evaluation: this,
    "index": lambda _this, evaluation: [evaluation.index],
    "total": lambda _this, evaluation: evaluation.total,
}


def _compile_variable(part: EnvironmentVariable) -> Evaluator:
    """Compile an environment variable, e.g. `%resource`.  https://hl7.org/fhir/R4/fhirpath.html#variables

    Raises:
        FhirPathError: The variable is unknown.

    """
    name = part.name
    if name in {"resource", "rootResource"}:
        root = name == "rootResource"
        return lambda _this, evaluation: evaluation.resource(root=root)
    if name == "context":
        return lambda _this, evaluation: [evaluation.context]
    text = _CONSTANTS.get(name)
    for prefix, url in _PREFIXED.items():
        if name.startswith(prefix):
            text = url + name.removeprefix(prefix)
    if text is None:
        raise FhirPathError(
            f"unknown variable %{name}{did_you_mean(name, _VARIABLES)}", part.column
        )
    items = [text]
    return lambda _this, _evaluation: items


def _compile_unary(part: UnaryOperation, types: TypeRegistry) -> Evaluator:
    operand, column, less = compile_evaluator(part.operand, types), part.column, part.sign == "-"

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        value = single_value(operand(this, evaluation))
        if value is None:
            return []
        if isinstance(value, Quantity):
            number = value.value.copy_negate() if less else value.value
            return [Quantity(number, value.unit, value.system)]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise FhirPathError("a sign requires a number", column)
        return [-value if less else value]

    return evaluate


# --- chains and calls


def _compile_chain(part: Chain, types: TypeRegistry) -> Evaluator:
    head = compile_evaluator(part.head, types)
    steps = tuple(_compile_step(step, types) for step in part.steps)
    if not steps:
        return head
    if len(steps) == 1:
        only = steps[0]
        return lambda this, evaluation: only(head(this, evaluation), this, evaluation)

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        items = head(this, evaluation)
        for step in steps:
            items = step(items, this, evaluation)
        return items

    return evaluate


def _compile_boolean_chain(part: Chain, decide: BooleanStep, types: TypeRegistry) -> Condition:
    before = part.steps[:-1]
    evaluate = _compile_chain(Chain(part.head, before, column=part.column), types)
    return lambda this, evaluation: decide(evaluate(this, evaluation), this, evaluation)


def _compile_step(part: SyntaxNode, types: TypeRegistry) -> Step:
    if isinstance(part, Identifier):
        name = part.name
        return lambda items, _this, evaluation: children_named(items, name, evaluation)
    if isinstance(part, FunctionCall):
        return build_step(_find_function(part), _compile_arguments(part, types), part.column)
    if isinstance(part, Indexer):
        return _compile_indexer(part, types)
    evaluate = compile_evaluator(part, types)
    return lambda items, _this, evaluation: evaluate(items, evaluation)


def _compile_indexer(part: Indexer, types: TypeRegistry) -> Step:
    evaluate_index, column = compile_evaluator(part.index, types), part.column

    def step(items: Items, this: Items, evaluation: Evaluation) -> Items:
        index = evaluate_index(this, evaluation)
        number = system(index[0]) if len(index) == 1 else None
        if index and (number.__class__ is not int):
            raise FhirPathError("an index must be a single integer", column)
        return items[number : number + 1] if number is not None and number >= 0 else []

    return step


def _find_function(part: FunctionCall) -> Function:
    """Return the called function; its number of arguments is checked.

    Raises:
        FhirPathError: The function is unknown, unsupported or has another number of arguments.

    """
    function = FUNCTIONS.get(part.name)
    if function is None:
        reason = UNSUPPORTED.get(part.name)
        message = (
            f"{part.name}() is not supported: {reason}"
            if reason
            else f"unknown function {part.name}(){did_you_mean(part.name, FUNCTIONS)}"
        )
        raise FhirPathError(message, part.column)
    if not function.min_arguments <= len(part.arguments) <= len(function.arguments):
        maximum = len(function.arguments)
        count = (
            f"{maximum}"
            if function.min_arguments == maximum
            else f"{function.min_arguments} to {maximum}"
        )
        raise FhirPathError(f"{part.name}() takes {count} arguments", part.column)
    return function


def _compile_arguments(part: FunctionCall, types: TypeRegistry) -> tuple[object, ...]:
    modes = _find_function(part).arguments
    return tuple(
        _compile_argument(argument, mode, types)
        for argument, mode in zip(part.arguments, modes, strict=False)
    )


def _compile_argument(part: SyntaxNode, mode: Mode, types: TypeRegistry) -> object:
    if mode == "type":
        return _check_type_name(_join_type_name(part), part.column, types)
    return compile_condition(part, types) if mode == "test" else compile_evaluator(part, types)


def _join_type_name(part: SyntaxNode) -> str:
    names = [part]
    if isinstance(part, Chain):
        names = [part.head, *part.steps]
    if not all(isinstance(name, Identifier) for name in names):
        raise FhirPathError("the name of a type is required", part.column)
    return ".".join(name.name for name in names if isinstance(name, Identifier))


def _check_type_name(name: str, column: int, types: TypeRegistry) -> str:
    """Return the name of a type after checking that it exists.

    Raises:
        FhirPathError: The type is unknown.

    """
    space, _, last = name.rpartition(".")
    fhir_type = space in {"", "FHIR"} and types.release.element(last) is not None
    if fhir_type or (space in {"", "System"} and last in SYSTEM_TYPES):
        return name
    known = SYSTEM_TYPES | types.release.data_types | types.release.resource_types
    raise FhirPathError(f"unknown type {name}{did_you_mean(last, known)}", column)


# --- operators


def _compile_left_fold(part: Operation, types: TypeRegistry) -> Evaluator:
    """Compile `a + b + c`, evaluated from left to right."""
    operands = tuple(compile_evaluator(operand, types) for operand in part.operands)
    first, rest, column = operands[0], operands[1:], part.column
    operation = _binary_operator(part.sign)

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        try:
            items = first(this, evaluation)
            for operand in rest:
                items = operation(items, operand(this, evaluation), evaluation)
        except FhirPathError as error:
            raise error.at(column) from None
        return items

    return evaluate


def _binary_operator(sign: str) -> Callable[[Items, Items, Evaluation], Items]:
    if sign == "|":
        return lambda left, right, evaluation: union(left, evaluation, right)
    if sign == "&":
        return lambda left, right, _evaluation: [concatenate(_to_text(left), _to_text(right))]
    return lambda left, right, _evaluation: calculate(sign, left, right)


def _to_text(items: Items) -> str:
    value = single_value(items)
    return "" if value is None else conversion_functions.to_text(value) or ""


def _compile_logic(part: Operation, types: TypeRegistry) -> Condition:
    """Compile three-valued logic.  http://hl7.org/fhirpath/N1/#boolean-logic"""
    operands = tuple(compile_condition(operand, types) for operand in part.operands)
    if part.sign in {"and", "or"}:
        return _compile_and_or(operands, settled=part.sign == "or", column=part.column)
    left, right = operands
    if part.sign == "xor":

        def differ(this: Items, evaluation: Evaluation) -> bool | None:
            one, other = left(this, evaluation), right(this, evaluation)
            return None if one is None or other is None else one is not other

        return differ

    def implies(this: Items, evaluation: Evaluation) -> bool | None:
        one = left(this, evaluation)
        if one is False:
            return True
        other = right(this, evaluation)
        return other if one is True or other is True else None

    return implies


def _compile_and_or(operands: tuple[Condition, ...], *, settled: bool, column: int) -> Condition:
    """Compile `and`, settled by any False, or `or`, settled by any True; else None wins."""

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        result: bool | None = not settled
        for operand in operands:
            one = operand(this, evaluation)
            if one is settled:
                return settled
            if one is None:
                result = None
        return result

    def located(this: Items, evaluation: Evaluation) -> bool | None:
        try:
            return decide(this, evaluation)
        except FhirPathError as error:
            raise error.at(column) from None

    return located


_RELATIONAL_OPERATORS = frozenset({"=", "!=", "~", "!~", "in", "contains", *_ORDER_OPERATORS})


def _compile_relation(part: Operation, types: TypeRegistry) -> Condition:
    left, right = [compile_evaluator(operand, types) for operand in part.operands]
    column = part.column
    other = part.operands[1]
    if part.sign in {"=", "!="} and isinstance(other, Literal) and isinstance(other.value, str):
        return _compile_text_equality(left, other.value, negate=part.sign == "!=")
    operation = _relational_operator(part.sign)

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        try:
            return operation(left(this, evaluation), right(this, evaluation), evaluation)
        except FhirPathError as error:
            raise error.at(column) from None

    return decide


def _compile_text_equality(left: Evaluator, text: str, *, negate: bool) -> Condition:
    """Compile the most frequent comparison, `use = 'official'`, to a fast path."""
    other = [text]

    def decide(this: Items, evaluation: Evaluation) -> bool | None:
        items = left(this, evaluation)
        if len(items) == 1:
            item = items[0]
            value = item.value if item.__class__ is DataNode else item
            if value.__class__ is str:
                return (value == text) is not negate
        result = equals(items, other, evaluation)
        return None if result is None else result is not negate

    return decide


def _relational_operator(sign: str) -> Callable[[Items, Items, Evaluation], bool | None]:
    if sign in _ORDER_OPERATORS:
        test = _ORDER_OPERATORS[sign]
        return lambda left, right, _evaluation: compare(left, right, test)
    if sign == "=":
        return equals
    if sign == "!=":
        return lambda left, right, evaluation: _not(equals(left, right, evaluation))
    if sign == "~":
        return equivalent
    if sign == "!~":
        return lambda left, right, evaluation: not equivalent(left, right, evaluation)
    if sign == "in":
        return is_in
    return lambda left, right, evaluation: is_in(right, left, evaluation)


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value
