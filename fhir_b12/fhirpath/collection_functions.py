"""Functions on collections: existence, filters, projections, subsetting, combining.

http://hl7.org/fhirpath/N1/#existence to http://hl7.org/fhirpath/N1/#combining
"""

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Condition, Evaluation, Evaluator, children, descendants
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import equal_items, to_boolean_operand
from fhir_b12.fhirpath.values import (
    DataNode,
    Item,
    Items,
    equality_key,
    equality_keys,
    plain,
    system,
    type_name,
)

# --- existence


@function("empty", returns_boolean=True)
def empty(items: Items, _evaluation: Evaluation) -> bool:
    """Return True for an empty collection."""
    return not items


@function("exists", "test", min_arguments=0, returns_boolean=True)
def exists(items: Items, evaluation: Evaluation, condition: Condition | None = None) -> bool:
    """Return True if any item satisfies the criteria, or without criteria if any item exists."""
    return bool(items) if condition is None else bool(where(items, evaluation, condition))


@function("all", "test", returns_boolean=True)
def for_all(items: Items, evaluation: Evaluation, condition: Condition) -> bool:
    """Return True if every item satisfies the criteria, and for an empty collection."""
    return len(where(items, evaluation, condition)) == len(items)


@function("not", returns_boolean=True)
def negated(items: Items, _evaluation: Evaluation) -> bool | None:
    """Negate a Boolean; empty stays empty."""
    value = to_boolean_operand(items)
    return None if value is None else not value


def _booleans(items: Items) -> list[bool]:
    values = [system(item) for item in items]
    if any(item.__class__ is not bool for item in values):
        raise FhirPathError("allTrue, anyTrue, allFalse and anyFalse require Booleans")
    return values


@function("allTrue", returns_boolean=True)
def all_true(items: Items, _evaluation: Evaluation) -> bool:
    """Return True if every item is true, and for an empty collection."""
    return all(_booleans(items))


@function("anyTrue", returns_boolean=True)
def any_true(items: Items, _evaluation: Evaluation) -> bool:
    """Return True if any item is true."""
    return any(_booleans(items))


@function("allFalse", returns_boolean=True)
def all_false(items: Items, _evaluation: Evaluation) -> bool:
    """Return True if every item is false, and for an empty collection."""
    return not any(_booleans(items))


@function("anyFalse", returns_boolean=True)
def any_false(items: Items, _evaluation: Evaluation) -> bool:
    """Return True if any item is false."""
    return not all(_booleans(items))


@function("subsetOf", "items", returns_boolean=True)
def subset_of(items: Items, evaluation: Evaluation, other: Items) -> bool:
    """Return True if all items are in the other collection."""
    return equality_keys(items, evaluation) <= equality_keys(other, evaluation)


@function("supersetOf", "items", returns_boolean=True)
def superset_of(items: Items, evaluation: Evaluation, other: Items) -> bool:
    """Return True if all items of the other collection are in this one."""
    return equality_keys(other, evaluation) <= equality_keys(items, evaluation)


@function("count")
def count(items: Items, _evaluation: Evaluation) -> Items:
    """Return the number of items."""
    return [len(items)]


@function("distinct")
def distinct(items: Items, evaluation: Evaluation) -> Items:
    """Return the items without duplicates."""
    evaluation.spend(len(items))
    unique: dict[object, Item] = {}
    for item in items:
        unique.setdefault(equality_key(item, evaluation), item)
    return list(unique.values())


@function("isDistinct", returns_boolean=True)
def is_distinct(items: Items, evaluation: Evaluation) -> bool:
    """Return True if no two items are equal."""
    return len(equality_keys(items, evaluation)) == len(items)


# --- filters and projections


@function("where", "test")
def where(items: Items, evaluation: Evaluation, condition: Condition) -> Items:
    """Return the items that satisfy the criteria."""
    matches: Items = []
    outer = evaluation.index
    for evaluation.index, item in enumerate(items):
        if condition([item], evaluation) is True:
            matches.append(item)
    evaluation.index = outer
    evaluation.spend(len(items))
    return matches


@function("select", "each")
def select(items: Items, evaluation: Evaluation, expression: Evaluator) -> Items:
    """Evaluate the expression on each item and return all results in one collection."""
    results: Items = []
    outer = evaluation.index
    for evaluation.index, item in enumerate(items):
        result = expression([item], evaluation)
        results += result
        evaluation.spend(1 + len(result))
    evaluation.index = outer
    return results


@function("repeat", "each")
def repeat(items: Items, evaluation: Evaluation, expression: Evaluator) -> Items:
    """Evaluate the expression on items and on its results until nothing new is found."""
    known_keys: set[object] = set()
    results: Items = []
    level = items
    while level:
        fresh: Items = []
        for item in select(level, evaluation, expression):
            key = equality_key(item, evaluation)
            if key not in known_keys:
                known_keys.add(key)
                fresh.append(item)
        results += fresh
        level = fresh
    return results


@function("ofType", "type")
def of_type(items: Items, _evaluation: Evaluation, name: str) -> Items:
    """Return the items of a type or of one derived from it."""
    return [item for item in items if is_type(item, name)]


@function("as", "type")
def as_type(items: Items, _evaluation: Evaluation, name: str) -> Items:
    """Do the same as `ofType()`: R4's own constraints apply `as` to several items (dom-3)."""
    return [item for item in items if is_type(item, name)]


@function("is", "type", returns_boolean=True)
def is_of_type(items: Items, _evaluation: Evaluation, name: str) -> bool | None:
    """Return True if the single item is of a type, None for an empty collection.

    Raises:
        FhirPathError: The collection has several items.

    """
    if len(items) > 1:
        raise FhirPathError(f"`is` requires a single item and has {len(items)}")
    return is_type(items[0], name) if items else None


def is_type(item: Item, name: str) -> bool:
    """Return True if an item is of a type, whose name may have a namespace."""
    if item.__class__ is DataNode:
        return bool(item.type_info.is_a(name))
    return name.removeprefix("System.") == type_name(item)[1]


@function("aggregate", "each", "items", min_arguments=1)
def aggregate(
    items: Items, evaluation: Evaluation, expression: Evaluator, initial: Items | None = None
) -> Items:
    """Evaluate the expression on each item, with the result of the previous one as $total."""
    outer_total, evaluation.total = evaluation.total, initial or []
    outer_index = evaluation.index
    for evaluation.index, item in enumerate(items):
        evaluation.total = expression([item], evaluation)
        evaluation.spend(1 + len(evaluation.total))
    result: Items = evaluation.total
    evaluation.total, evaluation.index = outer_total, outer_index
    return result


@function("children")
def all_children(items: Items, evaluation: Evaluation) -> Items:
    """Return the child nodes of all items."""
    return children(items, evaluation)


@function("descendants")
def all_descendants(items: Items, evaluation: Evaluation) -> Items:
    """Return the descendant nodes of all items."""
    return descendants(items, evaluation)


@function("trace", "text", "each", min_arguments=1)
def trace(
    items: Items, evaluation: Evaluation, name: str, expression: Evaluator | None = None
) -> Items:
    """Pass the items to the environment's `trace` and return them unchanged."""
    listener = getattr(evaluation.environment, "trace", None)
    if listener is not None:
        traced = select(items, evaluation, expression) if expression else items
        listener(name, [plain(item) for item in traced])
    return items


@function("iif", "test", "each", "each", min_arguments=2)
def iif(
    items: Items,
    evaluation: Evaluation,
    condition: Condition,
    then: Evaluator,
    otherwise: Evaluator | None = None,
) -> Items:
    """Evaluate and return one of two expressions, depending on the criteria.

    Raises:
        FhirPathError: The collection has several items.

    """
    if len(items) > 1:
        raise FhirPathError(f"iif() requires a single item and has {len(items)}")
    if condition(items, evaluation) is True:
        return then(items, evaluation)
    return [] if otherwise is None else otherwise(items, evaluation)


# --- parts


@function("first")
def first(items: Items, _evaluation: Evaluation) -> Items:
    """Return the first item."""
    return items[:1]


@function("last")
def last(items: Items, _evaluation: Evaluation) -> Items:
    """Return the last item."""
    return items[-1:]


@function("tail")
def tail(items: Items, _evaluation: Evaluation) -> Items:
    """Return all items but the first."""
    return items[1:]


@function("skip", "integer")
def skip(items: Items, _evaluation: Evaluation, number: int) -> Items:
    """Return all items but the first `number`."""
    return items[max(number, 0) :]


@function("take", "integer")
def take(items: Items, _evaluation: Evaluation, number: int) -> Items:
    """Return the first `number` items."""
    return items[: max(number, 0)]


@function("single")
def single_item(items: Items, _evaluation: Evaluation) -> Items:
    """Return the single item; several are an error.

    Raises:
        FhirPathError: The collection has several items.

    """
    if len(items) > 1:
        raise FhirPathError(f"single() requires at most one item and has {len(items)}")
    return items


@function("intersect", "items")
def intersect(items: Items, evaluation: Evaluation, other: Items) -> Items:
    """Return the items that are in both collections, without duplicates."""
    keys = equality_keys(other, evaluation)
    return [item for item in distinct(items, evaluation) if equality_key(item, evaluation) in keys]


@function("exclude", "items")
def exclude(items: Items, evaluation: Evaluation, other: Items) -> Items:
    """Return the items that are not in the other collection."""
    evaluation.spend(len(items) + len(other))
    keys = equality_keys(other, evaluation)
    return [item for item in items if equality_key(item, evaluation) not in keys]


@function("union", "items")
def union(items: Items, evaluation: Evaluation, other: Items) -> Items:
    """Return the items of both collections, without duplicates."""
    return distinct(items + other, evaluation)


@function("combine", "items")
def combine(items: Items, evaluation: Evaluation, other: Items) -> Items:
    """Return the items of both collections, with duplicates."""
    evaluation.spend(len(items) + len(other))
    return items + other


def is_in(left: Items, right: Items, evaluation: Evaluation) -> bool | None:
    """Evaluate `in`; None if the left operand is empty.

    Raises:
        FhirPathError: The left operand has several items.

    """
    if not left:
        return None
    if len(left) > 1:
        raise FhirPathError(f"the left operand of `in` requires a single item and has {len(left)}")
    evaluation.spend(len(right))
    return any(equal_items(left[0], item, evaluation) is True for item in right)
