"""What senders mean, read from plain JSON: concepts, amounts, moments, medicines."""

from collections.abc import Iterator
from datetime import date
from decimal import Context as Digits
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from fhir_b12 import aliases, codes, data, units
from fhir_b12.aliases import UCUM
from fhir_b12.codes import CodeEntry
from fhir_b12.datatypes import CodeableConcept, Quantity, convert
from fhir_b12.dates import DateTime
from fhir_b12.validation.context import ResourceContext

_FIGURES = 25  #: of a factor
_ROUND = Digits(prec=15)  #: of what is compared: a sixtieth times sixty is one again
_DAY = len("2026-03-09")
_WIDEST = 100  #: powers of ten: beyond it a number is no measurement
#: The states of an order on which nothing is given.  https://hl7.org/fhir/R4/valueset-medicationrequest-status.html
VOID = frozenset({"cancelled", "entered-in-error", "draft"})
Node = dict[str, Any]


def meaning(name: str, concept: Node | None) -> CodeEntry | None:
    """The row of a code table that a CodeableConcept means, coded or in words."""
    if not concept:
        return None
    table, system_aliases = codes.table(name), aliases.systems()
    met: CodeEntry | None = None
    for coding in concept.get("coding", ()):
        system = coding.get("system", "")
        entry = table.by_code.get((system_aliases.get(system, system), coding.get("code", "")))
        if entry is not None and entry is not met:
            if met is not None:
                return _find(name, concept)  # two codes: which counts is the table's to say
            met = entry
    if met is not None:
        return met
    return _find(name, concept) if any(w in table.by_text for w in words(concept)) else None


def _find(name: str, concept: Node) -> CodeEntry | None:
    try:
        return codes.table(name).find(convert(concept, CodeableConcept))
    except msgspec.ValidationError:
        return None


def words(concept: Node) -> Iterator[str]:
    """The texts of a concept, in lower case and single spaces."""
    if text := concept.get("text"):
        yield " ".join(text.lower().split())
    for coding in concept.get("coding", ()):
        if text := coding.get("display"):
            yield " ".join(text.lower().split())


def pairs(concept: Node | None) -> set[tuple[str, str]]:
    """System and code of each coding."""
    system_aliases = aliases.systems()
    return {
        (system_aliases.get(system := coding.get("system", ""), system), coding.get("code", ""))
        for coding in (concept or {}).get("coding", ())
    }


@cache
def wider(name: str, keys: tuple[str, ...], systems: frozenset[str]) -> frozenset[tuple[str, str]]:
    """The codes that are written beside these rows though they mean more, in some systems."""
    known = data.toml("codes/systems.toml")
    wanted = {known[each]["uri"] for each in systems} if systems else None
    return frozenset(
        (coding.system or "", coding.code or "")
        for key in keys
        for coding in codes.table(name)[key].wider
        if wanted is None or coding.system in wanted
    )


def unit_of(quantity: Node | None) -> str | None:
    """The unit as UCUM or as text; None where there is none or it is of another system."""
    if quantity is None:
        return None
    system = quantity.get("system")
    if system != UCUM and system is not None and aliases.systems().get(system) != UCUM:
        return None
    said = quantity.get("code") or quantity.get("unit")
    return said if said.__class__ is str else None


def number(quantity: Node | None) -> Decimal | None:
    """The value of a quantity; None where it is no number that anybody measures."""
    value = None if quantity is None else quantity.get("value")
    if value.__class__ is int:
        value = Decimal(value)
    elif value.__class__ is not Decimal:
        return None
    return value if -_WIDEST < value.adjusted() < _WIDEST else None


def amount(quantity: Node | None, unit: str, analyte: str | None = None) -> Decimal | None:
    """A quantity's value in a unit; None where it has another dimension or is no plain number."""
    if quantity is None or "comparator" in quantity:
        return None
    value = number(quantity)
    if value is None:
        return None
    said = unit_of(quantity)
    if said is None:
        return None
    if said == unit:
        return value
    factor = _factor(said, unit, analyte)
    return None if factor is None else _ROUND.multiply(value, factor)


@lru_cache(maxsize=1024)
def _factor(said: str, unit: str, analyte: str | None) -> Decimal | None:
    """What a number in one unit is multiplied by in another, for limits and comparisons."""
    if any(units.parse(each).offset for each in (said, unit) if _is_ucum(each)):
        return None
    one = Quantity(value=Decimal(1), system=UCUM, code=said)
    done = units.convert(one, unit, analyte, figures=_FIGURES).value
    return None if done is None else done.value


def _is_ucum(unit: str) -> bool:
    try:
        units.parse(unit)
    except units.UnitError:
        return False
    return True


def shown(quantity: Node) -> str:
    """A quantity as it is shown to those who ask to see values."""
    return f"{quantity.get('value')} {quantity.get('unit') or quantity.get('code') or ''}".strip()


class Moment(NamedTuple):
    """A day and, where it is said, the second of the world's clock."""

    day: int
    second: float | None

    @property
    def order(self) -> tuple[int, float]:
        """By what moments are sorted; a mere day comes before its hours."""
        return self.day, -1.0 if self.second is None else self.second

    def days_to(self, later: "Moment") -> int | None:
        """Whole days from here to a later moment; None where it is not surely later."""
        if self.day == later.day and (self.second is None or later.second is None):
            return None
        if self.second is not None and later.second is not None:
            apart = later.second - self.second
            return int(apart // 86_400) if apart > 0 else None
        return later.day - self.day if later.day > self.day else None

    def hours_to(self, later: "Moment") -> float | None:
        """Hours to a later moment; None where one is only a day, or it is not later."""
        if self.second is None or later.second is None or later.second < self.second:
            return None
        return (later.second - self.second) / 3600


Span = tuple[float, float]


@lru_cache(maxsize=4096)
def span(text: str | None) -> Span | None:
    """First and last-but-not-included second a dateTime may mean; None of what is none."""
    if text is None or text.__class__ is not str:
        return None
    try:
        first, last = DateTime(text).interval
    except ValueError:
        return None
    return float(first), float(last)


def is_before(earlier: str | None, later: str | None) -> bool:
    """Whether all of one dateTime lies before all of the other."""
    one, other = span(earlier), span(later)
    return one is not None and other is not None and one[1] <= other[0]


def moment(text: str | None) -> Moment | None:
    """When a date or dateTime is; None where it is neither, or a month or a year."""
    told = span(text)
    if told is None or text is None or len(text) < _DAY:
        return None
    day = date.fromisoformat(text[:_DAY]).toordinal()
    return Moment(day, told[0] if len(text) > _DAY else None)


def happened(node: Node, stem: str = "effective") -> Moment | None:
    """When something was: its dateTime or instant, or the start of its period."""
    for kind in ("DateTime", "Instant"):
        if text := node.get(stem + kind):
            return moment(text)
    return moment(node.get(stem + "Period", {}).get("start"))


def minutes(period: Node | None) -> Decimal | None:
    """How long a period lasts; None where an end is open or only a day."""
    if period is None:
        return None
    start, end = period.get("start"), period.get("end")
    one, other = span(start), span(end)
    if one is None or other is None or min(len(start or ""), len(end or "")) <= _DAY:
        return None
    return Decimal(other[0] - one[0]) / 60


class Medicine(NamedTuple):
    """What was given or ordered: the drugs by key, and the bag or product that holds them."""

    place: str  #: the element that says it
    drugs: frozenset[str]
    b12: frozenset[str]  #: those that are forms of vitamin B12
    is_diluted: bool
    product: Node | None
    active: tuple[Node, ...]  #: the ingredients of the product that are vitamin B12


def medicine(node: Node, context: ResourceContext) -> Medicine | None:
    """The medicine by its code or by reference: contained, in the Bundle, or in words alone."""
    if concept := node.get("medicationCodeableConcept"):
        return _medicine("medicationCodeableConcept", [_drug(concept)])
    reference = node.get("medicationReference")
    if reference is None:
        return None
    product = _referred(reference, context)
    if product is None:
        named = {"text": reference.get("display", "")}
        return _medicine("medicationReference", [_drug(named)])
    drugs, active = [_drug(product.get("code"))], []
    for part in product.get("ingredient", ()):
        drug = _drug(_item(part, context))
        drugs.append(drug)
        if drug is not None and drug.role == "b12":
            active.append(part)
    return _medicine("medicationReference", drugs, product, tuple(active))


def _medicine(
    place: str,
    drugs: list[CodeEntry | None],
    product: Node | None = None,
    active: tuple[Node, ...] = (),
) -> Medicine:
    known = [each for each in drugs if each is not None]
    b12 = frozenset([each.key for each in known if each.role == "b12"])
    diluted = "diluent" in [each.role for each in known]
    return Medicine(place, frozenset([each.key for each in known]), b12, diluted, product, active)


def _item(ingredient: Node, context: ResourceContext) -> Node | None:
    """What an ingredient is, as a concept."""
    concept: Node | None = ingredient.get("itemCodeableConcept")
    if concept is not None:
        return concept
    reference = ingredient.get("itemReference")
    if reference is None:
        return None
    made = _referred(reference, context)
    return {"text": reference.get("display", "")} if made is None else made.get("code")


def _referred(reference: Node, context: ResourceContext) -> Node | None:
    text = reference.get("reference")
    held = context.resolve(text) if text.__class__ is str else None
    return None if held is None else held.resource


#: A code that is written beside these, V03AB33, tells them from the same substance otherwise.
_ANTIDOTE = "cyanokit-5-g-for-iv-infusion"


def _drug(concept: Node | None) -> CodeEntry | None:
    entry = meaning("drugs", concept)
    if concept is None or (entry is not None and entry.role != "b12"):
        return entry
    for coding in concept.get("coding", ()):
        # the code alone is looked at first, for it is seldom there
        if coding.get("code") in _codes_of_antidote() and pairs(concept) & _antidote():
            return codes.table("drugs")[_ANTIDOTE]
    return entry


def _antidote() -> frozenset[tuple[str, str]]:
    return wider("drugs", (_ANTIDOTE,), frozenset())


@cache
def _codes_of_antidote() -> frozenset[str]:
    return frozenset(code for _, code in _antidote())


def referred(reference: Node | None, context: ResourceContext, kind: str) -> ResourceContext | None:
    """The resource of some type that a reference leads to, where it is here."""
    text = None if reference is None else reference.get("reference")
    held = context.resolve(text) if text.__class__ is str else None
    return held if held is not None and held.type == kind else None
