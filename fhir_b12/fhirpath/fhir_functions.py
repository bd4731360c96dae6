"""Functions that FHIR adds, and the clock.  https://hl7.org/fhir/R4/fhirpath.html#functions"""

from functools import cache
from typing import Any

from fhir_b12.fhirpath.evaluation import Run, below
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.temporal import Temporal
from fhir_b12.fhirpath.types import Kind, Slot, Way, kind_at
from fhir_b12.fhirpath.values import Items, Node, plain, system, type_name


@function("extension", "text")
def extension(items: Items, run: Run, url: str) -> Items:
    """The extensions of that url."""
    return [
        each
        for each in below(items, "extension", run)
        if isinstance(each.value, dict) and each.value.get("url") == url
    ]


@function("hasValue", decides=True)
def has_value(items: Items, _run: Run) -> bool:
    """One item is there, a primitive, and it has a value, not extensions alone."""
    return len(items) == 1 and _primitive(items[0]) is not None


@function("getValue")
def get_value(items: Items, _run: Run) -> Items:
    """The value of one primitive."""
    value = _primitive(items[0]) if len(items) == 1 else None
    return [] if value is None else [value]


def _primitive(item: Any) -> Any:
    if item.__class__ is Node and not item.kind.primitive:
        return None
    return system(item)


@function("resolve")
def resolve(items: Items, run: Run) -> Items:
    """What references, or their texts, point to; nothing for those that lead elsewhere."""
    found: Items = []
    for item in items:
        text = system(item)
        if isinstance(text, Node) and isinstance(text.value, dict):
            text = text.value.get("reference")
        if not isinstance(text, str):
            continue
        target = run.surroundings.resolve(text)
        kind = kind_at(target[1]) if target else None
        if target is not None and kind is not None:
            found.append(Node(target[0], kind))
    run.spend(len(items))
    return found


@function("memberOf", "text", decides=True)
def member_of(items: Items, run: Run, url: str) -> bool | None:
    """Whether the one item is in a value set; None where it cannot be told."""
    return run.surroundings.member_of(url, plain(items[0])) if len(items) == 1 else None


@function("conformsTo", "text", decides=True)
def conforms_to(items: Items, run: Run, url: str) -> bool | None:
    """Whether the one item conforms to a profile; None where it cannot be told."""
    return run.surroundings.conforms_to(url, plain(items[0])) if len(items) == 1 else None


@function("htmlChecks", decides=True)
def html_checks(items: Items, run: Run) -> bool:
    """Whether a narrative is as FHIR wants it: the surroundings judge, or it is taken for so."""
    judge = getattr(run.surroundings, "html_checks", None)
    return judge is None or all(judge(plain(each)) for each in items)


@function("type")
def reflected(items: Items, _run: Run) -> Items:
    """Namespace and name of each item's type.  http://hl7.org/fhirpath/N1/#reflection"""
    kind = _type_info()
    names = [type_name(each) for each in items]
    return [Node({"namespace": space, "name": name}, kind) for space, name in names]


@cache
def _type_info() -> Kind:
    """A type that FHIR does not have: `namespace` and `name` stand below it."""
    kind = Kind("TypeInfo", "TypeInfo")
    text = kind_at("string")
    assert text is not None
    kind.ways = {name: Way((Slot(name, text),)) for name in ("namespace", "name")}
    return kind


@function("now")
def now(_items: Items, run: Run) -> Items:
    """The moment of the evaluation, from the clock the caller gave."""
    return _known(Temporal.literal(f"@{run.now.isoformat(timespec='milliseconds')}"))


@function("today")
def today(_items: Items, run: Run) -> Items:
    """Its day."""
    return _known(Temporal.literal(f"@{run.now.date().isoformat()}"))


@function("timeOfDay")
def time_of_day(_items: Items, run: Run) -> Items:
    """Its time of day."""
    return _known(Temporal.literal(f"@T{run.now.time().isoformat(timespec='milliseconds')}"))


def _known(value: Temporal | None) -> Items:
    return [] if value is None else [value]
