"""What senders mean, read from plain JSON: concepts, amounts, moments, medicines."""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Context as Digits
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from fhir_b12 import canonical, codes, data, units
from fhir_b12.codes import Entry
from fhir_b12.datatypes import CodeableConcept, Quantity, convert
from fhir_b12.dates import DateTime
from fhir_b12.validation.context import Context

_FIGURES = 25  #: of a factor
_ROUND = Digits(prec=15)  #: of what is compared: a sixtieth times sixty is one again
_NUMBERS = (int, Decimal)
_WIDEST = 100  #: powers of ten: beyond it a number is no measurement
#: The states of an order on which nothing is given.  https://hl7.org/fhir/R4/valueset-medicationrequest-status.html
VOID = frozenset({"cancelled", "entered-in-error", "draft"})
Node = dict[str, Any]


def meaning(name: str, concept: Node | None) -> Entry | None:
    """The row of a code table that a CodeableConcept means, coded or in words."""
    if not concept:
        return None
    table, aliases = codes.table(name), canonical.systems()
    met: Entry | None = None
    for coding in concept.get("coding", ()):
        system = coding.get("system", "")
        entry = table.by_code.get((aliases.get(system, system), coding.get("code", "")))
        if entry is not None and entry is not met:
            if met is not None:
                return _find(name, concept)  # two codes: which counts is the table's to say
            met = entry
    if met is not None:
        return met
    return _find(name, concept) if any(w in table.by_text for w in words(concept)) else None


def _find(name: str, concept: Node) -> Entry | None:
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
    aliases = canonical.systems()
    return {
        (aliases.get(system := coding.get("system", ""), system), coding.get("code", ""))
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
    if (
        system is None
        or system == canonical.UCUM
        or canonical.systems().get(system) == canonical.UCUM
    ):
        said = quantity.get("code") or quantity.get("unit")
        return said if said.__class__ is str else None
    return None


def number(quantity: Node | None) -> Decimal | None:
    """The value of a quantity; None where it is no number that anybody measures."""
    value = None if quantity is None else quantity.get("value")
    if value.__class__ not in _NUMBERS:
        return None
    exact = Decimal(value)
    return exact if abs(exact.adjusted()) < _WIDEST else None


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
    one = Quantity(value=Decimal(1), system=canonical.UCUM, code=said)
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


@lru_cache(maxsize=512)
def moment(text: str | None) -> Moment | None:
    """When a date or dateTime is; None where it is neither, or a month or a year."""
    if text.__class__ is not str or text is None or len(text) < 10:
        return None
    try:
        read = DateTime(text)
    except ValueError:
        return None
    day = date.fromisoformat(text[:10]).toordinal()
    return Moment(day, float(read.interval[0]) if len(text) > 10 else None)


def happened(node: Node, stem: str = "effective") -> Moment | None:
    """When something was: its dateTime or instant, or the start of its period."""
    for kind in ("DateTime", "Instant"):
        if text := node.get(stem + kind):
            return moment(text)
    return moment(node.get(stem + "Period", {}).get("start"))


def minutes(period: Node | None) -> Decimal | None:
    """How long a period lasts; None where an end is open or only a day."""
    start, end = (moment((period or {}).get(name)) for name in ("start", "end"))
    if start is None or end is None or start.second is None or end.second is None:
        return None
    return Decimal(end.second - start.second) / 60


class Medicine(NamedTuple):
    """What was given or ordered: the drugs by key, and the bag or product that holds them."""

    place: str  #: the element that says it
    drugs: frozenset[str]
    product: Node | None

    @property
    def b12(self) -> list[Entry]:
        """The forms of vitamin B12 in it."""
        table = codes.table("drugs")
        return [table[key] for key in sorted(self.drugs) if table[key].role == "b12"]


def medicine(node: Node, context: Context) -> Medicine | None:
    """The medicine by its code or by reference: contained, in the Bundle, or in words alone."""
    if concept := node.get("medicationCodeableConcept"):
        return Medicine("medicationCodeableConcept", frozenset(_drug(concept)), None)
    reference = node.get("medicationReference")
    if reference is None:
        return None
    product = _referred(reference, context)
    if product is None:
        named = {"text": reference.get("display", "")}
        return Medicine("medicationReference", frozenset(_drug(named)), None)
    drugs = set(_drug(product.get("code")))
    for part in product.get("ingredient", ()):
        drugs.update(_drug(item(part, context)))
    return Medicine("medicationReference", frozenset(drugs), product)


def item(ingredient: Node, context: Context) -> Node | None:
    """What an ingredient is, as a concept."""
    concept: Node | None = ingredient.get("itemCodeableConcept")
    if concept is not None:
        return concept
    reference = ingredient.get("itemReference")
    if reference is None:
        return None
    made = _referred(reference, context)
    return {"text": reference.get("display", "")} if made is None else made.get("code")


def _referred(reference: Node, context: Context) -> Node | None:
    text = reference.get("reference")
    held = context.resolve(text) if text.__class__ is str else None
    return None if held is None else held.resource


#: A code that is written beside these, V03AB33, tells them from the same substance otherwise.
_ANTIDOTES = ("cyanokit-5-g-for-iv-infusion",)


def _drug(concept: Node | None) -> Iterable[str]:
    if not concept:
        return ()
    if pairs(concept) & wider("drugs", _ANTIDOTES, frozenset()):
        return _ANTIDOTES
    entry = meaning("drugs", concept)
    return () if entry is None else (entry.key,)


def referred(reference: Node | None, context: Context, kind: str) -> Context | None:
    """The resource of some type that a reference leads to, where it is here."""
    text = (reference or {}).get("reference")
    held = context.resolve(text) if text.__class__ is str else None
    return held if held is not None and held.type == kind else None
