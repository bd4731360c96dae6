"""What of a resource is indexed.  https://hl7.org/fhir/R4/search.html

One walk over the elements that any search parameter looks at; the few paths that are more than
names are asked of FHIRPath. Whatever shape a resource has, there are rows for what can be read, and
no exception.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from fhir_b12 import fhirpath
from fhir_b12.definitions import R4
from fhir_b12.server.search import values
from fhir_b12.server.search.parameters import PARTS, Path, indexed, is_simple, key_of, routes
from fhir_b12.server.search.values import LEAST, MINUS, MOST, PLUS, clip, folded

Text = tuple[int, str, str, int]  #: key, value, what tells it apart (system, exact text), part
Range = tuple[int, float, float, str, int]  #: key, low, high, unit, part


class Rows(NamedTuple):
    """The rows of one resource."""

    texts: set[Text]
    ranges: set[Range]


class _Walk:
    """One resource being read."""

    __slots__ = ("base", "mass", "ranges", "texts")

    def __init__(self, base: str, mass: str | None) -> None:
        self.base = base  #: before `Patient/1` in references to what is here
        self.mass = mass  #: molar mass of what an Observation measures
        self.texts: set[Text] = set()
        self.ranges: set[Range] = set()


_Emit = Callable[[_Walk, Any, int], None]


class _Branch:
    """The elements below a place that are looked at, and what is made of the value there."""

    __slots__ = ("below", "emits")

    def __init__(self) -> None:
        self.below: dict[str, _Branch] = {}
        self.emits: list[_Emit] = []


def rows(resource: dict[str, Any], base: str, only: frozenset[int] | None = None) -> Rows:
    """All rows of a resource, or those of some keys.

    `base` is the server's, without a slash at its end.
    """
    kind = str(resource["resourceType"])
    tree, others, numbered = _compiled(kind, only)
    mass = values.molar_mass(resource.get("code")) if kind == "Observation" else None
    walk = _Walk(f"{base}/", mass)
    _look(resource, tree, walk, 0, numbered)
    for name, expression, emits in others:
        if name and name not in resource:
            continue
        for value, leaf in _evaluated(expression, resource, kind):
            emits(leaf)(walk, value, 0)
    return Rows(walk.texts, walk.ranges)


def _look(node: dict[str, Any], branch: _Branch, walk: _Walk, part: int, numbered: str) -> None:
    below = branch.below
    for name, value in node.items():
        found = below.get(name)
        if found is None:
            continue
        items = value if isinstance(value, list) else (value,)
        for index, item in enumerate(items):
            own = index + 1 if name == numbered and not part else part
            for emit in found.emits:
                emit(walk, item, own)
            if found.below and isinstance(item, dict):
                _look(item, found, walk, own, numbered)


#: the element without which there is nothing to be found, if there is such a one
_Other = tuple[str, fhirpath.Expression, Callable[[str], _Emit]]
_WITHIN = re.compile(r"\w+\.(extension(?=\()|\w+(?=\.where\())")


@cache
def _compiled(kind: str, only: frozenset[int] | None) -> tuple[_Branch, tuple[_Other, ...], str]:
    """The tree of a type, what is asked of FHIRPath, and the element whose items are numbered."""
    tree, others = _Branch(), []
    for path in indexed(kind):
        if only is not None and path.key not in only:
            continue
        if not is_simple(path.text):
            within = _WITHIN.match(path.text)
            name = within[1] if within else ""
            others.append((name, fhirpath.compile(path.text), _chosen(path)))
            continue
        for names, leaf in routes(path.text):
            here = tree
            for name in names:
                here = here.below.setdefault(name, _Branch())
            here.emits.append(_emitter(path, leaf, f"{kind}.{'.'.join(names)}"))
    numbered = next((name for base, name in PARTS.items() if base.startswith(f"{kind}.")), "")
    return tree, tuple(others), numbered


def _chosen(path: Path) -> Callable[[str], _Emit]:
    return lambda leaf: _emitter(path, leaf, "")


def _evaluated(
    expression: fhirpath.Expression, resource: dict[str, Any], kind: str
) -> Iterator[tuple[Any, str]]:
    try:
        found = expression.places(resource, kind, fhirpath.Alone(resource))
    except (fhirpath.FhirPathError, AttributeError, TypeError, KeyError):
        return  # what is badly shaped has no such value
    for each in found:
        if each.type == "Extension":  # R4 says the extension and means its value
            for name, value in each.value.items() if isinstance(each.value, dict) else ():
                if name.startswith("value"):
                    yield value, f"{name[5:6].lower()}{name[6:]}"
        else:
            yield each.value, each.type.removeprefix("System.")


# --- what is made of a value, by the kind of the parameter and the type of the value


def _emitter(path: Path, leaf: str, place: str) -> _Emit:
    if path.kind == "token":
        return _token(path, leaf, place)
    if path.kind == "string":
        return _string(path.key, leaf)
    if path.kind in {"reference", "uri"}:
        return _reference(path, leaf)
    if path.kind == "date":
        return _date(path.key)
    return _quantity(path.key)


def _token(path: Path, leaf: str, place: str) -> _Emit:
    """https://hl7.org/fhir/R4/search.html#token"""
    key, words = path.key, key_of(path.text, path.kind, "text")
    if leaf == "Identifier":
        return _identifier(key, words, key_of(path.text, path.kind, "of-type"))
    element = R4.element(place) if place and leaf == "code" else None
    systems = R4.required_value_set(element) if element else None
    known = {code: system for system, listed in (systems or {}).items() for code in listed}

    def coding(walk: _Walk, value: Any, part: int) -> None:
        if isinstance(value, dict) and isinstance(code := value.get("code"), str):
            system = value.get("system")
            walk.texts.add((key, clip(code), clip(system) if isinstance(system, str) else "", part))
        if isinstance(value, dict) and isinstance(display := value.get("display"), str):
            walk.texts.add((words, folded(display), "", part))

    def emit(walk: _Walk, value: Any, part: int) -> None:
        if isinstance(value, str):
            walk.texts.add((key, clip(value), known.get(value, ""), part))
        elif isinstance(value, bool):
            walk.texts.add((key, "true" if value else "false", "", part))
        elif isinstance(value, dict):
            listed = value.get("coding")
            for each in listed if isinstance(listed, list) else (value,):
                coding(walk, each, part)
            if isinstance(text := value.get("text"), str):
                walk.texts.add((words, folded(text), "", part))
            if isinstance(text := value.get("value"), str):  # a ContactPoint
                walk.texts.add((key, clip(text), "", part))

    return emit


def _identifier(key: int, words: int, of_type: int) -> _Emit:
    def emit(walk: _Walk, value: Any, part: int) -> None:
        if not isinstance(value, dict):
            return
        system, text = value.get("system"), value.get("value")
        if isinstance(text, str):
            walk.texts.add((key, clip(text), clip(system) if isinstance(system, str) else "", part))
        kind = value.get("type")
        if not isinstance(kind, dict):
            return
        if isinstance(kind.get("text"), str):
            walk.texts.add((words, folded(kind["text"]), "", part))
        for each in kind["coding"] if isinstance(kind.get("coding"), list) else ():
            if isinstance(each, dict) and isinstance(text, str):
                named = f"{each.get('system', '')}|{each.get('code', '')}|{text}"
                walk.texts.add((of_type, clip(named), "", part))

    return emit


_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


def _string(key: int, leaf: str) -> _Emit:
    """https://hl7.org/fhir/R4/search.html#string"""
    inner = _ADDRESS if leaf == "Address" else _NAME

    def emit(walk: _Walk, value: Any, part: int) -> None:
        if isinstance(value, str):
            walk.texts.add((key, folded(value), clip(value), part))
        elif isinstance(value, dict):
            for name in inner:
                found = value.get(name)
                for each in found if isinstance(found, list) else (found,):
                    if isinstance(each, str):
                        walk.texts.add((key, folded(each), clip(each), part))

    return emit


def _reference(path: Path, leaf: str) -> _Emit:
    """https://hl7.org/fhir/R4/search.html#reference"""
    key, identified = path.key, key_of(path.text, path.kind, "identifier")
    has_version = leaf == "canonical"

    def emit(walk: _Walk, value: Any, part: int) -> None:
        if isinstance(value, str):
            url, _, version = value.partition("|") if has_version else (value, "", "")
            walk.texts.add((key, clip(url), clip(version), part))
            return
        if not isinstance(value, dict):
            return
        text = value.get("reference")
        if isinstance(text, str) and text[:1] not in {"#", ""}:
            text, _, version = text.removeprefix(walk.base).partition("/_history/")
            walk.texts.add((key, clip(text), version[:64], part))
        named = value.get("identifier")
        if isinstance(named, dict) and isinstance(named.get("value"), str):
            system = named.get("system")
            told = clip(system) if isinstance(system, str) else ""
            walk.texts.add((identified, clip(named["value"]), told, part))

    return emit


def _date(key: int) -> _Emit:
    """https://hl7.org/fhir/R4/search.html#date"""

    def emit(walk: _Walk, value: Any, part: int) -> None:
        found = values.moments(value) if isinstance(value, str) else _span(value)
        if found is not None:
            walk.ranges.add((key, found[0], found[1], "", part))

    return emit


def _span(value: Any) -> tuple[int, int] | None:
    """The moments of a Period, or all that a Timing names."""
    if not isinstance(value, dict):
        return None
    repeat = value.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else None
    if isinstance(bounds, dict):
        return _span(bounds)
    events = value.get("event")
    if isinstance(events, list):
        known = [found for e in events if isinstance(e, str) and (found := values.moments(e))]
        return (min(a for a, _ in known), max(b for _, b in known)) if known else None
    start, end = value.get("start"), value.get("end")
    first = values.moments(start) if isinstance(start, str) else None
    last = values.moments(end) if isinstance(end, str) else None
    if first is None and last is None:
        return None
    return (first[0] if first else MINUS), (last[1] if last else PLUS)


def _quantity(key: int) -> _Emit:
    """https://hl7.org/fhir/R4/search.html#quantity"""

    def emit(walk: _Walk, value: Any, part: int) -> None:
        found = values.number(value)
        if found is not None:  # of a number parameter
            walk.ranges.add((key, found, found, "", part))
        if not isinstance(value, dict):
            return
        if "low" in value or "high" in value:
            low, high = (_part(value.get(name)) for name in ("low", "high"))
            if low or high:
                bounds = (low[0] if low else LEAST), (high[0] if high else MOST)
                _amount(walk, key, bounds, (low or high)[1], part)  # type: ignore[index]
        elif (known := _part(value)) is not None:
            _amount(walk, key, _compared(known[0], value.get("comparator")), known[1], part)

    return emit


def _part(quantity: Any) -> tuple[float, dict[str, Any]] | None:
    found = values.number(quantity.get("value")) if isinstance(quantity, dict) else None
    return None if found is None else (found, quantity)


def _compared(value: float, comparator: Any) -> tuple[float, float]:
    if comparator in {"<", "<="}:
        return LEAST, value
    return (value, MOST) if comparator in {">", ">="} else (value, value)


def _amount(
    walk: _Walk, key: int, bounds: tuple[float, float], quantity: dict[str, Any], part: int
) -> None:
    """The numbers as they are, by each name of their unit, and in base units."""
    low, high = bounds
    code, unit, system = (quantity.get(name) for name in ("code", "unit", "system"))
    walk.ranges.add((key, low, high, "", part))
    for each in {code, unit} - {None}:
        if isinstance(each, str):
            walk.ranges.add((key, low, high, clip(f"|{each}"), part))
    if not isinstance(code, str) or not isinstance(system, str):
        return
    walk.ranges.add((key, low, high, clip(f"{system}|{code}"), part))
    if system == values.UCUM:
        for amount in values.canonical(code, walk.mass):
            scaled = [
                each if each in {LEAST, MOST} else max(min(each * amount.factor, MOST), LEAST)
                for each in bounds
            ]
            walk.ranges.add((key, scaled[0], scaled[1], amount.unit, part))
