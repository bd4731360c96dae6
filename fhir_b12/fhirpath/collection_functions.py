"""Functions on whole collections: existence, filters, parts, unions.

http://hl7.org/fhirpath/N1/#existence to http://hl7.org/fhirpath/N1/#combining
"""

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Decide, Evaluate, Run, children, descendants
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import equal_items, truth
from fhir_b12.fhirpath.values import (
    Item,
    Items,
    Node,
    key,
    keys,
    plain,
    system,
    type_name,
)

# --- existence


@function("empty", decides=True)
def empty(items: Items, _run: Run) -> bool:
    """Nothing is there."""
    return not items


@function("exists", "test", least=0, decides=True)
def exists(items: Items, run: Run, test: Decide | None = None) -> bool:
    """Something is there for which the test holds."""
    return bool(items) if test is None else bool(where(items, run, test))


@function("all", "test", decides=True)
def for_all(items: Items, run: Run, test: Decide) -> bool:
    """The test holds for every item; it does for none."""
    return len(where(items, run, test)) == len(items)


@function("not", decides=True)
def negated(items: Items, _run: Run) -> bool | None:
    """True for false."""
    found = truth(items)
    return None if found is None else not found


def _booleans(items: Items) -> list[bool]:
    values = [system(each) for each in items]
    if any(each.__class__ is not bool for each in values):
        raise FhirPathError("allTrue, anyTrue, allFalse and anyFalse take Booleans only")
    return values


@function("allTrue", decides=True)
def all_true(items: Items, _run: Run) -> bool:
    """Every item is true; so it is of none."""
    return all(_booleans(items))


@function("anyTrue", decides=True)
def any_true(items: Items, _run: Run) -> bool:
    """Some item is true."""
    return any(_booleans(items))


@function("allFalse", decides=True)
def all_false(items: Items, _run: Run) -> bool:
    """Every item is false; so it is of none."""
    return not any(_booleans(items))


@function("anyFalse", decides=True)
def any_false(items: Items, _run: Run) -> bool:
    """Some item is false."""
    return not all(_booleans(items))


@function("subsetOf", "items", decides=True)
def subset_of(items: Items, run: Run, other: Items) -> bool:
    """All items are in the other collection too."""
    return keys(items, run) <= keys(other, run)


@function("supersetOf", "items", decides=True)
def superset_of(items: Items, run: Run, other: Items) -> bool:
    """All items of the other collection are here too."""
    return keys(other, run) <= keys(items, run)


@function("count")
def count(items: Items, _run: Run) -> Items:
    """How many there are."""
    return [len(items)]


@function("distinct")
def distinct(items: Items, run: Run) -> Items:
    """Each item once."""
    run.spend(len(items))
    found: dict[object, Item] = {}
    for each in items:
        found.setdefault(key(each, run), each)
    return list(found.values())


@function("isDistinct", decides=True)
def is_distinct(items: Items, run: Run) -> bool:
    """No two items are equal."""
    return len(keys(items, run)) == len(items)


# --- filters and projections


@function("where", "test")
def where(items: Items, run: Run, test: Decide) -> Items:
    """The items for which the test holds."""
    found: Items = []
    outer = run.index
    for run.index, item in enumerate(items):
        if test([item], run) is True:
            found.append(item)
    run.index = outer
    run.spend(len(items))
    return found


@function("select", "each")
def select(items: Items, run: Run, work: Evaluate) -> Items:
    """What the expression finds on each item, in one collection."""
    found: Items = []
    outer = run.index
    for run.index, item in enumerate(items):
        part = work([item], run)
        found += part
        run.spend(1 + len(part))
    run.index = outer
    return found


@function("repeat", "each")
def repeat(items: Items, run: Run, work: Evaluate) -> Items:
    """What the expression finds, then on what was found, until nothing new comes."""
    seen: set[object] = set()
    found: Items = []
    level = items
    while level:
        fresh: Items = []
        for item in select(level, run, work):
            mark = key(item, run)
            if mark not in seen:
                seen.add(mark)
                fresh.append(item)
        found += fresh
        level = fresh
    return found


@function("ofType", "type")
def of_type(items: Items, _run: Run, name: str) -> Items:
    """The items of a type, or of one derived from it."""
    return [each for each in items if is_type(each, name)]


@function("as", "type")
def as_type(items: Items, _run: Run, name: str) -> Items:
    """The same: R4's own rules apply it to many items at once (dom-3)."""
    return [each for each in items if is_type(each, name)]


@function("is", "type", decides=True)
def is_of_type(items: Items, _run: Run, name: str) -> bool | None:
    """Whether the one item is of a type; None where there is none."""
    if len(items) > 1:
        raise FhirPathError(f"{len(items)} items stand where `is` takes one")
    return is_type(items[0], name) if items else None


def is_type(item: Item, name: str) -> bool:
    """Whether an item is of the type of that name, which may have a namespace."""
    if item.__class__ is Node:
        return bool(item.kind.is_a(name))
    return name.removeprefix("System.") == type_name(item)[1]


@function("aggregate", "each", "items", least=1)
def aggregate(items: Items, run: Run, work: Evaluate, initial: Items | None = None) -> Items:
    """Carry $total from item to item."""
    outer, run.total = run.total, initial or []
    place = run.index
    for run.index, item in enumerate(items):
        run.total = work([item], run)
        run.spend(1 + len(run.total))
    found: Items = run.total
    run.total, run.index = outer, place
    return found


@function("children")
def all_children(items: Items, run: Run) -> Items:
    """What stands directly below each item."""
    return children(items, run)


@function("descendants")
def all_descendants(items: Items, run: Run) -> Items:
    """All that stands below each item."""
    return descendants(items, run)


@function("trace", "text", "each", least=1)
def trace(items: Items, run: Run, name: str, work: Evaluate | None = None) -> Items:
    """Tell the surroundings what passes here, and let it pass."""
    listener = getattr(run.surroundings, "trace", None)
    if listener is not None:
        listener(name, [plain(each) for each in (select(items, run, work) if work else items)])
    return items


@function("iif", "test", "each", "each", least=2)
def iif(
    items: Items, run: Run, test: Decide, yes: Evaluate, other: Evaluate | None = None
) -> Items:
    """One of two, and only that one is evaluated; of what is there it takes one item."""
    if len(items) > 1:
        raise FhirPathError(f"{len(items)} items stand where iif takes one")
    if test(items, run) is True:
        return yes(items, run)
    return [] if other is None else other(items, run)


# --- parts


@function("first")
def first(items: Items, _run: Run) -> Items:
    """The first item."""
    return items[:1]


@function("last")
def last(items: Items, _run: Run) -> Items:
    """The last item."""
    return items[-1:]


@function("tail")
def tail(items: Items, _run: Run) -> Items:
    """All but the first."""
    return items[1:]


@function("skip", "integer")
def skip(items: Items, _run: Run, number: int) -> Items:
    """All but the first few."""
    return items[max(number, 0) :]


@function("take", "integer")
def take(items: Items, _run: Run, number: int) -> Items:
    """The first few."""
    return items[: max(number, 0)]


@function("single")
def single_item(items: Items, _run: Run) -> Items:
    """The one item: it is an error if there are several."""
    if len(items) > 1:
        raise FhirPathError(f"single() finds {len(items)} items")
    return items


@function("intersect", "items")
def intersect(items: Items, run: Run, other: Items) -> Items:
    """Each item that is in both, once."""
    known = keys(other, run)
    return [each for each in distinct(items, run) if key(each, run) in known]


@function("exclude", "items")
def exclude(items: Items, run: Run, other: Items) -> Items:
    """The items that are not in the other collection."""
    run.spend(len(items) + len(other))
    known = keys(other, run)
    return [each for each in items if key(each, run) not in known]


@function("union", "items")
def union(items: Items, run: Run, other: Items) -> Items:
    """Each item of both, once."""
    return distinct(items + other, run)


@function("combine", "items")
def combine(items: Items, run: Run, other: Items) -> Items:
    """All items of both."""
    run.spend(len(items) + len(other))
    return items + other


def is_in(left: Items, right: Items, run: Run) -> bool | None:
    """`in`: None where there is nothing to look for."""
    if not left:
        return None
    if len(left) > 1:
        raise FhirPathError(f"{len(left)} items stand where `in` takes one")
    run.spend(len(right))
    return any(equal_items(left[0], each, run) is True for each in right)
