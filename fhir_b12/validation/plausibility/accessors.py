"""Clinical meaning of JSON elements: concepts, quantities, dates and medications."""

from collections.abc import Iterator
from decimal import Context as DecimalContext
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from fhir_b12 import aliases, codes, data, ucum, units
from fhir_b12.aliases import UCUM
from fhir_b12.codes import CodeEntry
from fhir_b12.datatypes import CodeableConcept, Quantity, convert
from fhir_b12.dates import DateTime
from fhir_b12.validation.context import ResourceContext

_FACTOR_DIGITS = 25  #: significant digits of a conversion factor
_ROUND = DecimalContext(prec=15)  #: of compared numbers: a sixtieth times sixty is one again
_DAY_LENGTH = len("2026-03-09")
_MAX_EXPONENT = 100  #: a number beyond this power of ten is no measurement
#: Statuses of an order that is not in force.  https://hl7.org/fhir/R4/valueset-medicationrequest-status.html
VOID_STATUSES = frozenset({"cancelled", "entered-in-error", "draft"})
JsonObject = dict[str, Any]


# --- concepts


def find_entry(table_name: str, concept: JsonObject | None) -> CodeEntry | None:
    """Return the row of a code table that a CodeableConcept means, by its codes or its text.

    Args:
        table_name: Name of a table in `mappings/codes/`: "lab_tests".
        concept: The CodeableConcept as JSON.

    """
    if not concept:
        return None
    table, system_aliases = codes.table(table_name), aliases.systems()
    match: CodeEntry | None = None
    for coding in concept.get("coding", ()):
        system = coding.get("system", "")
        entry = table.by_code.get((system_aliases.get(system, system), coding.get("code", "")))
        if entry is not None and entry is not match:
            if match is not None:
                return _find_in_table(table_name, concept)  # of two codes the table chooses one
            match = entry
    if match is not None:
        return match
    has_known_text = any(text in table.by_text for text in texts_of(concept))
    return _find_in_table(table_name, concept) if has_known_text else None


def _find_in_table(table_name: str, concept: JsonObject) -> CodeEntry | None:
    try:
        return codes.table(table_name).find(convert(concept, CodeableConcept))
    except msgspec.ValidationError:
        return None


def texts_of(concept: JsonObject) -> Iterator[str]:
    """Yield the text and displays of a concept, in lower case with single spaces."""
    if text := concept.get("text"):
        yield " ".join(text.lower().split())
    for coding in concept.get("coding", ()):
        if text := coding.get("display"):
            yield " ".join(text.lower().split())


def coding_pairs(concept: JsonObject | None) -> set[tuple[str, str]]:
    """Return system and code of each coding; aliases of systems become canonical."""
    system_aliases = aliases.systems()
    return {
        (system_aliases.get(system := coding.get("system", ""), system), coding.get("code", ""))
        for coding in (concept or {}).get("coding", ())
    }


@cache
def broader_codes(
    table_name: str, keys: tuple[str, ...], systems: frozenset[str]
) -> frozenset[tuple[str, str]]:
    """Return system and code of the broader codes (`wider`) of rows of a code table.

    Args:
        table_name: Name of a table in `mappings/codes/`.
        keys: Keys of its rows.
        systems: Keys of `systems.toml` to restrict the codes to; empty for all systems.

    """
    rows = data.toml("codes/systems.toml")
    uris = {rows[key]["uri"] for key in systems} if systems else None
    return frozenset(
        (coding.system or "", coding.code or "")
        for key in keys
        for coding in codes.table(table_name)[key].wider
        if uris is None or coding.system in uris
    )


# --- quantities


def unit_of(quantity: JsonObject | None) -> str | None:
    """Return the unit as UCUM code or as text, None if missing or of another system."""
    if quantity is None:
        return None
    system = quantity.get("system")
    if system != UCUM and system is not None and aliases.systems().get(system) != UCUM:
        return None
    unit = quantity.get("code") or quantity.get("unit")
    return unit if unit.__class__ is str else None


def number_of(quantity: JsonObject | None) -> Decimal | None:
    """Return the value of a quantity, None if it is no number or of an absurd magnitude."""
    value = None if quantity is None else quantity.get("value")
    if value.__class__ is int:
        value = Decimal(value)
    elif value.__class__ is not Decimal:
        return None
    return value if -_MAX_EXPONENT < value.adjusted() < _MAX_EXPONENT else None


def value_in(quantity: JsonObject | None, unit: str, analyte: str | None = None) -> Decimal | None:
    """Return the value of a quantity in a unit.

    Args:
        quantity: The Quantity as JSON.
        unit: A UCUM unit.
        analyte: Key of `analytes.toml`, to convert between mass and amount of substance.

    Returns:
        The value; None if the quantity has another dimension, a comparator or no number.

    """
    if quantity is None or "comparator" in quantity:
        return None
    value = number_of(quantity)
    if value is None:
        return None
    own_unit = unit_of(quantity)
    if own_unit is None:
        return None
    if own_unit == unit:
        return value
    factor = _conversion_factor(own_unit, unit, analyte)
    return None if factor is None else _ROUND.multiply(value, factor)


@lru_cache(maxsize=1024)
def _conversion_factor(source: str, target: str, analyte: str | None) -> Decimal | None:
    """Return the factor from one unit to another, None if there is none."""
    if any(ucum.parse(unit).offset for unit in (source, target) if _is_ucum(unit)):
        return None
    one = Quantity(value=Decimal(1), system=UCUM, code=source)
    converted = units.convert(one, target, analyte, figures=_FACTOR_DIGITS).value
    return None if converted is None else converted.value


def _is_ucum(unit: str) -> bool:
    try:
        ucum.parse(unit)
    except ucum.UnitError:
        return False
    return True


def format_quantity(quantity: JsonObject) -> str:
    """Return a quantity as shown to users who ask for values: "350 umol/L"."""
    return f"{quantity.get('value')} {quantity.get('unit') or quantity.get('code') or ''}".strip()


# --- dates


class Moment(NamedTuple):
    """A calendar day and, if known, the second."""

    day: int  #: counted from 0001-01-01, as written
    second: float | None  #: UTC, counted from 0001-01-01; None for a date without time

    @property
    def order(self) -> tuple[int, float]:
        """The sort key; a date without time sorts before the times of its day."""
        return self.day, -1.0 if self.second is None else self.second

    def days_to(self, later: "Moment") -> int | None:
        """Return the whole days to a later moment, None if it is not certainly later."""
        if self.day == later.day and (self.second is None or later.second is None):
            return None
        if self.second is not None and later.second is not None:
            seconds = later.second - self.second
            return int(seconds // 86_400) if seconds > 0 else None
        return later.day - self.day if later.day > self.day else None

    def hours_to(self, later: "Moment") -> float | None:
        """Return the hours to a later moment, None if it is not later or a time is missing."""
        if self.second is None or later.second is None or later.second < self.second:
            return None
        return (later.second - self.second) / 3600


Interval = tuple[float, float]  #: first second and the second after the last, UTC


@lru_cache(maxsize=4096)
def _parse_date(text: str | None) -> DateTime | None:
    """Return a date or dateTime, None if the text is neither."""
    if text is None or text.__class__ is not str:
        return None
    try:
        return DateTime(text)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def interval_of(text: str | None) -> Interval | None:
    """Return the seconds that a date or dateTime may mean, None if the text is neither."""
    parsed = _parse_date(text)
    if parsed is None:
        return None
    first, end = parsed.interval
    return float(first), float(end)


def is_before(earlier: str | None, later: str | None) -> bool:
    """Return True if all of one date or dateTime is before all of another."""
    one, other = interval_of(earlier), interval_of(later)
    return one is not None and other is not None and one[1] <= other[0]


def parse_moment(text: str | None) -> Moment | None:
    """Return the moment of a date or dateTime, None for a month, a year or an invalid text."""
    parsed, interval = _parse_date(text), interval_of(text)
    if parsed is None or interval is None or (day := parsed.day_number) is None:
        return None
    return Moment(day, interval[0] if parsed.precision == "second" else None)


def moment_of(node: JsonObject, stem: str = "effective") -> Moment | None:
    """Return the moment of a choice element such as effective[x]; of a Period its start."""
    for suffix in ("DateTime", "Instant"):
        if text := node.get(stem + suffix):
            return parse_moment(text)
    return parse_moment(node.get(stem + "Period", {}).get("start"))


def minutes_of(period: JsonObject | None) -> Decimal | None:
    """Return the minutes of a Period, None if an end is missing or has no time."""
    if period is None:
        return None
    start, end = period.get("start"), period.get("end")
    first, last = interval_of(start), interval_of(end)
    if first is None or last is None or min(len(start or ""), len(end or "")) <= _DAY_LENGTH:
        return None
    return Decimal(last[0] - first[0]) / 60


# --- medications


class MedicationContent(NamedTuple):
    """The drugs of an administration or order, and the product that contains them."""

    element: str  #: the JSON name: "medicationReference"
    drugs: frozenset[str]  #: keys of drugs.toml
    b12_drugs: frozenset[str]  #: those that are forms of vitamin B12
    is_diluted: bool
    product: JsonObject | None  #: the Medication resource
    b12_ingredients: tuple[JsonObject, ...]  #: the ingredients of the product that are vitamin B12


def medication_of(node: JsonObject, context: ResourceContext) -> MedicationContent | None:
    """Return the medication[x] of a resource, by its code, its reference or its display."""
    if concept := node.get("medicationCodeableConcept"):
        return _build_medication("medicationCodeableConcept", [_find_drug(concept)])
    reference = node.get("medicationReference")
    if reference is None:
        return None
    product = _resolve(reference, context)
    if product is None:
        display = {"text": reference.get("display", "")}
        return _build_medication("medicationReference", [_find_drug(display)])
    drugs, b12_ingredients = [_find_drug(product.get("code"))], []
    for ingredient in product.get("ingredient", ()):
        drug = _find_drug(_ingredient_concept(ingredient, context))
        drugs.append(drug)
        if drug is not None and drug.role == "b12":
            b12_ingredients.append(ingredient)
    return _build_medication("medicationReference", drugs, product, tuple(b12_ingredients))


def _build_medication(
    element: str,
    entries: list[CodeEntry | None],
    product: JsonObject | None = None,
    b12_ingredients: tuple[JsonObject, ...] = (),
) -> MedicationContent:
    drugs = [entry for entry in entries if entry is not None]
    return MedicationContent(
        element,
        frozenset([drug.key for drug in drugs]),
        frozenset([drug.key for drug in drugs if drug.role == "b12"]),
        "diluent" in [drug.role for drug in drugs],
        product,
        b12_ingredients,
    )


def _ingredient_concept(ingredient: JsonObject, context: ResourceContext) -> JsonObject | None:
    """Return item[x] of an ingredient as a concept."""
    concept: JsonObject | None = ingredient.get("itemCodeableConcept")
    if concept is not None:
        return concept
    reference = ingredient.get("itemReference")
    if reference is None:
        return None
    resource = _resolve(reference, context)
    return {"text": reference.get("display", "")} if resource is None else resource.get("code")


def _resolve(reference: JsonObject, context: ResourceContext) -> JsonObject | None:
    text = reference.get("reference")
    target = context.resolve(text) if text.__class__ is str else None
    return None if target is None else target.resource


#: The ATC code V03AB33 beside a form of vitamin B12 means this product.
_ANTIDOTE = "cyanokit-5-g-for-iv-infusion"


def _find_drug(concept: JsonObject | None) -> CodeEntry | None:
    entry = find_entry("drugs", concept)
    if concept is None or (entry is not None and entry.role != "b12"):
        return entry
    for coding in concept.get("coding", ()):
        # the code is compared first, for it is rare
        if (
            coding.get("code") in _codes_of_antidote()
            and coding_pairs(concept) & _antidote_codings()
        ):
            return codes.table("drugs")[_ANTIDOTE]
    return entry


def _antidote_codings() -> frozenset[tuple[str, str]]:
    return broader_codes("drugs", (_ANTIDOTE,), frozenset())


@cache
def _codes_of_antidote() -> frozenset[str]:
    return frozenset(code for _, code in _antidote_codings())


def resolve_as(
    reference: JsonObject | None, context: ResourceContext, resource_type: str
) -> ResourceContext | None:
    """Return the target of a reference, None if it is not loaded or of another type."""
    text = None if reference is None else reference.get("reference")
    target = context.resolve(text) if text.__class__ is str else None
    return target if target is not None and target.type == resource_type else None
