"""From parts to closures: what is known of an expression is decided once, not at each node.

A part becomes `evaluate($this, run)`, or where it can only be true, false or undecided,
`decide($this, run)`. A step of a chain also gets the items of the step before it.
http://hl7.org/fhirpath/N1/#expressions
"""

from collections.abc import Callable
from decimal import Decimal

from fhir_b12 import aliases
from fhir_b12.definitions import R4
from fhir_b12.fhirpath import (
    collection_functions,
    conversion_functions,
    fhir_functions,
    math_functions,
    string_functions,
)
from fhir_b12.fhirpath.collection_functions import is_in, is_of_type, is_type, union
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Decide, Evaluate, Run, below
from fhir_b12.fhirpath.function_registry import FUNCTIONS, UNSUPPORTED, Function, Mode
from fhir_b12.fhirpath.invocation import DecidingStep, Step, deciding_step_of, step_of
from fhir_b12.fhirpath.operators import (
    calculate,
    compare,
    equal,
    equivalent,
    joined,
    single,
    truth,
)
from fhir_b12.fhirpath.syntax_tree import (
    Call,
    Chain,
    External,
    Index,
    Literal,
    Name,
    Operation,
    Part,
    Sign,
    Special,
    TypeTest,
)
from fhir_b12.fhirpath.types import SYSTEM
from fhir_b12.fhirpath.values import Items, Measure, Node, system

#: Importing these fills `FUNCTIONS`.
LIBRARY = (
    math_functions,
    collection_functions,
    conversion_functions,
    fhir_functions,
    string_functions,
)

_ORDERS: dict[str, Callable[[int], bool]] = {
    "<": lambda found: found < 0,
    "<=": lambda found: found <= 0,
    ">": lambda found: found > 0,
    ">=": lambda found: found >= 0,
}
_LOGIC = frozenset({"and", "or", "xor", "implies"})
#: https://hl7.org/fhir/R4/fhirpath.html#variables
_CONSTANTS = {
    "ucum": aliases.UCUM,
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXED = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def evaluating(part: Part) -> Evaluate:
    """A part as what it finds."""
    if isinstance(part, Literal):
        items = [] if part.value is None else [part.value]
        return lambda _this, _run: items
    if isinstance(part, Name):
        return _head(part.name)
    if isinstance(part, Special):
        return _SPECIAL[part.name]
    if isinstance(part, External):
        return _external(part)
    if isinstance(part, Chain):
        return _chain(part)
    if isinstance(part, Call) and not _function(part).decides:
        step = step_of(_function(part), _given(part), part.column)
        return lambda this, run: step(this, this, run)
    if isinstance(part, Sign):
        return _signed(part)
    if isinstance(part, TypeTest) and part.sign == "as":
        operand, name = evaluating(part.operand), _type(part.type, part.column)
        return lambda this, run: [each for each in operand(this, run) if is_type(each, name)]
    if isinstance(part, Operation) and part.sign in {"+", "-", "*", "/", "div", "mod", "&", "|"}:
        return _folded(part)
    decide = deciding(part)

    def evaluate(this: Items, run: Run) -> Items:
        found = decide(this, run)
        return [] if found is None else [found]

    return evaluate


def decides(part: Part) -> bool:
    """Whether a part can only be true, false or undecided."""
    if isinstance(part, Chain):
        return decides(part.steps[-1] if part.steps else part.head)
    if isinstance(part, Call):
        return _function(part).decides
    if isinstance(part, Operation):
        return part.sign in _LOGIC or part.sign in _RELATIONS
    return isinstance(part, TypeTest) and part.sign == "is"


def deciding(part: Part) -> Decide:
    """A part as True, False or None."""
    if not decides(part):
        evaluate = evaluating(part)
        return lambda this, run: truth(evaluate(this, run))
    if isinstance(part, Chain) and not part.steps:
        return deciding(part.head)
    if isinstance(part, Chain):
        last = part.steps[-1]
        assert isinstance(last, Call)
        step = deciding_step_of(_function(last), _given(last), last.column)
        return _decided_chain(part, step)
    if isinstance(part, Call):
        step = deciding_step_of(_function(part), _given(part), part.column)
        return lambda this, run: step(this, this, run)
    if isinstance(part, Operation) and part.sign in _LOGIC:
        return _logic(part)
    if isinstance(part, Operation):
        return _relation(part)
    assert isinstance(part, TypeTest)
    operand, name = evaluating(part.operand), _type(part.type, part.column)
    return lambda this, run: is_of_type(operand(this, run), run, name)


# --- terms


def _head(name: str) -> Evaluate:
    """A name at the head of an expression: a child of $this, or as `Observation` its type."""
    if not name[:1].isupper():
        return lambda this, run: below(this, name, run)
    return lambda this, _run: [
        each for each in this if each.__class__ is Node and name in each.kind.lineage
    ]


_SPECIAL: dict[str, Evaluate] = {
    "this": lambda this, _run: this,
    "index": lambda _this, run: [run.index],
    "total": lambda _this, run: run.total,
}


def _external(part: External) -> Evaluate:
    """`%resource` and its like.  https://hl7.org/fhir/R4/fhirpath.html#variables"""
    name = part.name
    if name in {"resource", "rootResource"}:
        root = name == "rootResource"
        return lambda _this, run: run.resource(root=root)
    if name == "context":
        return lambda _this, run: [run.context]
    text = _CONSTANTS.get(name)
    for prefix, url in _PREFIXED.items():
        if name.startswith(prefix):
            text = url + name.removeprefix(prefix)
    if text is None:
        raise FhirPathError(f"there is no variable %{name}", part.column)
    items = [text]
    return lambda _this, _run: items


def _signed(part: Sign) -> Evaluate:
    operand, column, less = evaluating(part.operand), part.column, part.sign == "-"

    def evaluate(this: Items, run: Run) -> Items:
        value = single(operand(this, run))
        if value is None:
            return []
        if isinstance(value, Measure):
            number = value.value.copy_negate() if less else value.value
            return [Measure(number, value.unit, value.system)]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise FhirPathError("a sign stands before something that is no number", column)
        return [-value if less else value]

    return evaluate


# --- chains and calls


def _chain(part: Chain) -> Evaluate:
    head = evaluating(part.head)
    steps = tuple(map(_step, part.steps))
    if not steps:
        return head
    if len(steps) == 1:
        only = steps[0]
        return lambda this, run: only(head(this, run), this, run)

    def evaluate(this: Items, run: Run) -> Items:
        items = head(this, run)
        for step in steps:
            items = step(items, this, run)
        return items

    return evaluate


def _decided_chain(part: Chain, decide: DecidingStep) -> Decide:
    before = part.steps[:-1]
    evaluate = _chain(Chain(part.head, before, column=part.column))
    return lambda this, run: decide(evaluate(this, run), this, run)


def _step(part: Part) -> Step:
    if isinstance(part, Name):
        name = part.name
        return lambda items, _this, run: below(items, name, run)
    if isinstance(part, Call):
        return step_of(_function(part), _given(part), part.column)
    if isinstance(part, Index):
        return _index(part)
    evaluate = evaluating(part)
    return lambda items, _this, run: evaluate(items, run)


def _index(part: Index) -> Step:
    at, column = evaluating(part.at), part.column

    def step(items: Items, this: Items, run: Run) -> Items:
        found = at(this, run)
        number = system(found[0]) if len(found) == 1 else None
        if found and (number.__class__ is not int):
            raise FhirPathError("an index is one integer", column)
        return items[number : number + 1] if number is not None and number >= 0 else []

    return step


def _function(part: Call) -> Function:
    """The function called, which must take so many arguments."""
    found = FUNCTIONS.get(part.name)
    if found is None:
        why = UNSUPPORTED.get(part.name)
        what = f"{part.name}() is not supported: {why}" if why else f"no function {part.name}()"
        raise FhirPathError(what, part.column)
    if not found.least <= len(part.given) <= len(found.given):
        most = len(found.given)
        wanted = f"{most}" if found.least == most else f"{found.least} to {most}"
        raise FhirPathError(f"{part.name}() takes {wanted} arguments", part.column)
    return found


def _given(part: Call) -> tuple[object, ...]:
    modes = _function(part).given
    return tuple(_argument(each, mode) for each, mode in zip(part.given, modes, strict=False))


def _argument(part: Part, mode: Mode) -> object:
    if mode == "type":
        return _type(_type_name(part), part.column)
    return deciding(part) if mode == "test" else evaluating(part)


def _type_name(part: Part) -> str:
    names = [part]
    if isinstance(part, Chain):
        names = [part.head, *part.steps]
    if not all(isinstance(each, Name) for each in names):
        raise FhirPathError("the name of a type is expected", part.column)
    return ".".join(each.name for each in names if isinstance(each, Name))


def _type(name: str, column: int) -> str:
    """The name of a type there is."""
    space, _, last = name.rpartition(".")
    fhir_type = space in {"", "FHIR"} and R4.element(last) is not None
    if fhir_type or (space in {"", "System"} and last in SYSTEM):
        return name
    raise FhirPathError(f"there is no type {name}", column)


# --- operators


def _folded(part: Operation) -> Evaluate:
    """`a + b + c` from left to right."""
    operands = tuple(map(evaluating, part.operands))
    first, rest, column = operands[0], operands[1:], part.column
    work = _joining(part.sign)

    def evaluate(this: Items, run: Run) -> Items:
        try:
            items = first(this, run)
            for operand in rest:
                items = work(items, operand(this, run), run)
        except FhirPathError as error:
            raise error.at(column) from None
        return items

    return evaluate


def _joining(sign: str) -> Callable[[Items, Items, Run], Items]:
    if sign == "|":
        return lambda left, right, run: union(left, run, right)
    if sign == "&":
        return lambda left, right, _run: [joined(_as_text(left), _as_text(right))]
    return lambda left, right, _run: calculate(sign, left, right)


def _as_text(items: Items) -> str:
    value = single(items)
    return "" if value is None else conversion_functions.to_text(value) or ""


def _logic(part: Operation) -> Decide:
    """Three-valued logic.  http://hl7.org/fhirpath/N1/#boolean-logic"""
    operands = tuple(map(deciding, part.operands))
    if part.sign in {"and", "or"}:
        return _row(operands, settled=part.sign == "or", column=part.column)
    left, right = operands
    if part.sign == "xor":

        def differ(this: Items, run: Run) -> bool | None:
            one, other = left(this, run), right(this, run)
            return None if one is None or other is None else one is not other

        return differ

    def implies(this: Items, run: Run) -> bool | None:
        one = left(this, run)
        if one is False:
            return True
        other = right(this, run)
        return other if one is True or other is True else None

    return implies


def _row(operands: tuple[Decide, ...], *, settled: bool, column: int) -> Decide:
    """`and` ends at the first False, `or` at the first True; else one None makes it None."""

    def decide(this: Items, run: Run) -> bool | None:
        found: bool | None = not settled
        for operand in operands:
            one = operand(this, run)
            if one is settled:
                return settled
            if one is None:
                found = None
        return found

    def located(this: Items, run: Run) -> bool | None:
        try:
            return decide(this, run)
        except FhirPathError as error:
            raise error.at(column) from None

    return located


_RELATIONS = frozenset({"=", "!=", "~", "!~", "in", "contains", *_ORDERS})


def _relation(part: Operation) -> Decide:
    left, right = map(evaluating, part.operands)
    column = part.column
    beside = part.operands[1]
    if part.sign in {"=", "!="} and isinstance(beside, Literal) and isinstance(beside.value, str):
        return _equals_text(left, beside.value, negate=part.sign == "!=")
    work = _relating(part.sign)

    def decide(this: Items, run: Run) -> bool | None:
        try:
            return work(left(this, run), right(this, run), run)
        except FhirPathError as error:
            raise error.at(column) from None

    return decide


def _equals_text(left: Evaluate, text: str, *, negate: bool) -> Decide:
    """The commonest of all comparisons: `use = 'official'`."""
    beside = [text]

    def decide(this: Items, run: Run) -> bool | None:
        items = left(this, run)
        if len(items) == 1:
            item = items[0]
            value = item.value if item.__class__ is Node else item
            if value.__class__ is str:
                return (value == text) is not negate
        found = equal(items, beside, run)
        return None if found is None else found is not negate

    return decide


def _relating(sign: str) -> Callable[[Items, Items, Run], bool | None]:
    if sign in _ORDERS:
        holds = _ORDERS[sign]
        return lambda left, right, _run: compare(left, right, holds)
    if sign == "=":
        return equal
    if sign == "!=":
        return lambda left, right, run: _not(equal(left, right, run))
    if sign == "~":
        return equivalent
    if sign == "!~":
        return lambda left, right, run: not equivalent(left, right, run)
    if sign == "in":
        return is_in
    return lambda left, right, run: is_in(right, left, run)


def _not(found: bool | None) -> bool | None:
    return None if found is None else not found
