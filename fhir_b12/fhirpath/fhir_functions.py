"""Functions added by FHIR, and the current time.  https://hl7.org/fhir/R4/fhirpath.html#functions"""

from functools import lru_cache
from typing import Any

from fhir_b12.fhirpath.evaluation import Evaluation, children_named
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.temporal import Temporal
from fhir_b12.fhirpath.types import ChildSlot, NamedChild, TypeInfo, TypeRegistry
from fhir_b12.fhirpath.values import DataNode, Items, plain, system, type_name


@function("extension", "text")
def extension(items: Items, evaluation: Evaluation, url: str) -> Items:
    """Return the extensions with a url."""
    return [
        node
        for node in children_named(items, "extension", evaluation)
        if isinstance(node.value, dict) and node.value.get("url") == url
    ]


@function("hasValue", returns_boolean=True)
def has_value(items: Items, _evaluation: Evaluation) -> bool:
    """Return True for a single primitive with a value, not only extensions."""
    return len(items) == 1 and _primitive_value(items[0]) is not None


@function("getValue")
def get_value(items: Items, _evaluation: Evaluation) -> Items:
    """Return the value of a single primitive."""
    value = _primitive_value(items[0]) if len(items) == 1 else None
    return [] if value is None else [value]


def _primitive_value(item: Any) -> Any:
    if item.__class__ is DataNode and not item.type_info.is_primitive:
        return None
    return system(item)


@function("resolve")
def resolve(items: Items, evaluation: Evaluation) -> Items:
    """Resolve references; omit those that cannot be resolved."""
    registry = evaluation.context.type_info.registry
    targets: Items = []
    for item in items:
        text = system(item)
        if isinstance(text, DataNode) and isinstance(text.value, dict):
            text = text.value.get("reference")
        if not isinstance(text, str):
            continue
        target = evaluation.environment.resolve(text)
        type_info = registry.type_at(target[1]) if target else None
        if target is not None and type_info is not None:
            targets.append(DataNode(target[0], type_info))
    evaluation.spend(len(items))
    return targets


@function("memberOf", "text", returns_boolean=True)
def member_of(items: Items, evaluation: Evaluation, url: str) -> bool | None:
    """Return True if the single item is in a value set, None if unknown."""
    return evaluation.environment.member_of(url, plain(items[0])) if len(items) == 1 else None


@function("conformsTo", "text", returns_boolean=True)
def conforms_to(items: Items, evaluation: Evaluation, url: str) -> bool | None:
    """Return True if the single item conforms to a profile, None if unknown."""
    return evaluation.environment.conforms_to(url, plain(items[0])) if len(items) == 1 else None


@function("htmlChecks", returns_boolean=True)
def html_checks(items: Items, evaluation: Evaluation) -> bool:
    """Return True if the environment's `html_checks` accepts the narrative, or is missing."""
    check = getattr(evaluation.environment, "html_checks", None)
    return check is None or all(check(plain(item)) for item in items)


@function("type")
def reflect(items: Items, evaluation: Evaluation) -> Items:
    """Return namespace and name of each item's type.  http://hl7.org/fhirpath/N1/#reflection"""
    type_info = _reflected_type(evaluation.context.type_info.registry)
    names = [type_name(item) for item in items]
    return [DataNode({"namespace": space, "name": name}, type_info) for space, name in names]


@lru_cache(maxsize=8)
def _reflected_type(registry: TypeRegistry) -> TypeInfo:
    """Return the type of `type()`, which FHIR does not have, with `namespace` and `name`."""
    type_info = TypeInfo(registry, "TypeInfo", "TypeInfo")
    text = registry.type_at("string")
    assert text is not None
    slots = {name: ChildSlot(name, text) for name in ("namespace", "name")}
    type_info.named_children = {name: NamedChild((slot,)) for name, slot in slots.items()}
    return type_info


@function("now")
def now(_items: Items, evaluation: Evaluation) -> Items:
    """Return the time of the evaluation, which the environment states."""
    return _as_items(Temporal.literal(f"@{evaluation.now.isoformat(timespec='milliseconds')}"))


@function("today")
def today(_items: Items, evaluation: Evaluation) -> Items:
    """Return the date of the evaluation."""
    return _as_items(Temporal.literal(f"@{evaluation.now.date().isoformat()}"))


@function("timeOfDay")
def time_of_day(_items: Items, evaluation: Evaluation) -> Items:
    """Return the time of day of the evaluation."""
    return _as_items(
        Temporal.literal(f"@T{evaluation.now.time().isoformat(timespec='milliseconds')}")
    )


def _as_items(value: Temporal | None) -> Items:
    return [] if value is None else [value]
