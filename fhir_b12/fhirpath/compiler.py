"""Compiler from the syntax tree to closures, so that decisions are made once per expression.

A node becomes an evaluator `evaluate($this, evaluation)`, or if its result is Boolean a condition
`decide($this, evaluation)`. A step of a chain also receives the result of the previous step.
http://hl7.org/fhirpath/N1/#expressions
"""

from collections.abc import Callable
from typing import TypeVar

from fhir_b12.fhirpath import (
    collection_functions,
    conversion_functions,
    fhir_functions,
    math_functions,
    string_functions,
)
from fhir_b12.fhirpath.collection_functions import is_of_type, is_type
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Condition, Evaluation, Evaluator, children_named
from fhir_b12.fhirpath.function_registry import FUNCTIONS, UNSUPPORTED, Function, Mode
from fhir_b12.fhirpath.invocation import Step, build_boolean_step, build_step
from fhir_b12.fhirpath.operations import (
    LOGIC_OPERATORS,
    RELATIONAL_OPERATORS,
    build_left_fold,
    build_logic,
    build_relation,
    build_signed,
    build_text_equality,
)
from fhir_b12.fhirpath.operators import to_boolean_operand
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
from fhir_b12.fhirpath.values import DataNode, Items, system
from fhir_b12.fhirpath.variables import SPECIAL_VARIABLES, build_environment_variable
from fhir_b12.suggestions import did_you_mean

#: Importing these fills `FUNCTIONS`.
LIBRARY = (
    math_functions,
    collection_functions,
    conversion_functions,
    fhir_functions,
    string_functions,
)
T = TypeVar("T")


def returns_boolean(part: SyntaxNode) -> bool:
    """Return True if the result of a node is always True, False or empty."""
    if isinstance(part, Chain):
        return returns_boolean(part.steps[-1] if part.steps else part.head)
    if isinstance(part, FunctionCall):
        return _find_function(part).returns_boolean
    if isinstance(part, Operation):
        return part.sign in LOGIC_OPERATORS or part.sign in RELATIONAL_OPERATORS
    return isinstance(part, TypeExpression) and part.sign == "is"


def compile_evaluator(part: SyntaxNode, types: TypeRegistry) -> Evaluator:
    """Compile a node to a function that returns a collection."""
    if isinstance(part, Chain):
        return _compile_chain(part, types)
    if returns_boolean(part):
        return to_evaluator(compile_condition(part, types))
    if isinstance(part, Literal):
        items = [] if part.value is None else [part.value]
        return lambda _this, _evaluation: items
    if isinstance(part, Identifier):
        return _compile_identifier(part.name)
    if isinstance(part, SpecialVariable):
        return SPECIAL_VARIABLES[part.name]
    if isinstance(part, EnvironmentVariable):
        return build_environment_variable(part.name, part.column)
    if isinstance(part, FunctionCall):
        step = _compile_call(part, types, build_step)
        return lambda this, evaluation: step(this, this, evaluation)
    if isinstance(part, UnaryOperation):
        return build_signed(part.sign, compile_evaluator(part.operand, types), part.column)
    if isinstance(part, Operation):
        operands = tuple(compile_evaluator(operand, types) for operand in part.operands)
        return build_left_fold(part.sign, operands, part.column)
    assert isinstance(part, TypeExpression)
    operand = compile_evaluator(part.operand, types)
    name = _check_type_name(part.type, part.column, types)
    return lambda this, evaluation: [
        item for item in operand(this, evaluation) if is_type(item, name)
    ]


def compile_condition(part: SyntaxNode, types: TypeRegistry) -> Condition:
    """Compile a node to a function that returns True, False or None for empty."""
    if not returns_boolean(part):
        evaluate = compile_evaluator(part, types)
        return lambda this, evaluation: to_boolean_operand(evaluate(this, evaluation))
    if isinstance(part, Chain):
        return _compile_boolean_chain(part, types)
    if isinstance(part, FunctionCall):
        step = _compile_call(part, types, build_boolean_step)
        return lambda this, evaluation: step(this, this, evaluation)
    if isinstance(part, Operation) and part.sign in LOGIC_OPERATORS:
        operands = tuple(compile_condition(operand, types) for operand in part.operands)
        return build_logic(part.sign, operands, part.column)
    if isinstance(part, Operation):
        return _compile_relation(part, types)
    assert isinstance(part, TypeExpression)
    operand = compile_evaluator(part.operand, types)
    name = _check_type_name(part.type, part.column, types)
    return lambda this, evaluation: is_of_type(operand(this, evaluation), evaluation, name)


def to_evaluator(decide: Condition) -> Evaluator:
    """Return an evaluator with the result of a condition as a collection."""

    def evaluate(this: Items, evaluation: Evaluation) -> Items:
        result = decide(this, evaluation)
        return [] if result is None else [result]

    return evaluate


def _compile_identifier(name: str) -> Evaluator:
    """Compile the first name of an expression: a child of $this, or a type as `Observation`."""
    if not name[:1].isupper():
        return lambda this, evaluation: children_named(this, name, evaluation)
    return lambda this, _evaluation: [
        item for item in this if item.__class__ is DataNode and name in item.type_info.ancestors
    ]


def _compile_relation(part: Operation, types: TypeRegistry) -> Condition:
    one, other = part.operands
    left = compile_evaluator(one, types)
    if part.sign in {"=", "!="} and isinstance(other, Literal) and isinstance(other.value, str):
        return build_text_equality(part.sign, left, other.value)
    return build_relation(part.sign, left, compile_evaluator(other, types), part.column)


# --- chains


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


def _compile_boolean_chain(part: Chain, types: TypeRegistry) -> Condition:
    """Compile a chain whose last step is a function that returns a Boolean."""
    if not part.steps:
        return compile_condition(part.head, types)
    *before, last = part.steps
    assert isinstance(last, FunctionCall)
    decide = _compile_call(last, types, build_boolean_step)
    evaluate = _compile_chain(Chain(part.head, tuple(before), column=part.column), types)
    return lambda this, evaluation: decide(evaluate(this, evaluation), this, evaluation)


def _compile_step(part: SyntaxNode, types: TypeRegistry) -> Step:
    if isinstance(part, Identifier):
        name = part.name
        return lambda items, _this, evaluation: children_named(items, name, evaluation)
    if isinstance(part, FunctionCall):
        return _compile_call(part, types, build_step)
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


# --- function calls


def _compile_call(
    part: FunctionCall,
    types: TypeRegistry,
    build: Callable[[Function, tuple[object, ...], int], T],
) -> T:
    """Compile the arguments of a call and pass them to `build_step` or `build_boolean_step`."""
    function = _find_function(part)
    arguments = tuple(
        _compile_argument(argument, mode, types)
        for argument, mode in zip(part.arguments, function.arguments, strict=False)
    )
    return build(function, arguments, part.column)


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
    minimum, maximum = function.min_arguments, len(function.arguments)
    if not minimum <= len(part.arguments) <= maximum:
        count = f"{maximum}" if minimum == maximum else f"{minimum} to {maximum}"
        raise FhirPathError(f"{part.name}() takes {count} arguments", part.column)
    return function


def _compile_argument(part: SyntaxNode, mode: Mode, types: TypeRegistry) -> object:
    if mode == "type":
        return _check_type_name(_join_type_name(part), part.column, types)
    return compile_condition(part, types) if mode == "test" else compile_evaluator(part, types)


# --- names of types


def _join_type_name(part: SyntaxNode) -> str:
    names = [part.head, *part.steps] if isinstance(part, Chain) else [part]
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
