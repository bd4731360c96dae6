"""FHIR R4 data types as frozen values, under FHIR's own names.  https://hl7.org/fhir/R4/datatypes.html

Attributes are FHIR's element names in snake_case; as JSON they are FHIR's own. Extensions are
carried as they came. What a data type here does not name is not read, and the ledger says so.
"""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import force_setattr

from fhir_b12 import aliases
from fhir_b12.caching import known_to_msgspec
from fhir_b12.dates import Date, DateTime, Instant

if TYPE_CHECKING:
    Number = Decimal
else:
    Number = Decimal | int  #: a FHIR decimal; JSON's whole numbers become Decimals as they are read


Json = Any  #: a JSON value carried as it came

_ALIASES = aliases.systems()
_UNITS = aliases.units()
_NO_OTHER_SYSTEM = (None, aliases.UCUM)


def _decimals(element: msgspec.Struct, *names: str) -> None:
    """Replace whole numbers by Decimals."""
    for name in names:
        value = getattr(element, name)
        if value.__class__ is int:
            force_setattr(element, name, Decimal(value))


class Element(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False
):
    """Base class of data types.  https://hl7.org/fhir/R4/element.html"""

    extension: tuple[Json, ...] = ()


class Backbone(Element, frozen=True, kw_only=True):
    """Base class of parts of resources. A part with a modifier extension is not read.

    https://hl7.org/fhir/R4/backboneelement.html
    """

    modifier_extension: None = None


class Coding(Element, frozen=True, kw_only=True):
    """One code of one system.  https://hl7.org/fhir/R4/datatypes.html#Coding"""

    system: str | None = None  #: canonical URI, e.g. http://loinc.org
    version: str | None = None
    code: str | None = None
    display: str | None = None
    user_selected: bool | None = None

    def __post_init__(self) -> None:
        if self.system in _ALIASES:
            force_setattr(self, "system", _ALIASES[self.system])


class CodeableConcept(Element, frozen=True, kw_only=True):
    """A concept in the sender's own words and codes.

    https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
    """

    coding: tuple[Coding, ...] = ()
    text: str | None = None


class Quantity(Element, frozen=True, kw_only=True):
    """A measured amount: digits as measured, unit as printed, UCUM code.

    A known unit without a code gets the code, and the code's own spelling: `mcg` becomes `ug`.
    https://hl7.org/fhir/R4/datatypes.html#Quantity
    """

    value: Number | None = None
    comparator: str | None = None  #: < <= >= >
    unit: str | None = None
    system: str | None = None
    code: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.value, int):
            _decimals(self, "value")
        if self.code is None and self.unit in _UNITS and self.system in _NO_OTHER_SYSTEM:
            code = _UNITS[self.unit]
            force_setattr(self, "unit", code)
            force_setattr(self, "code", code)
            force_setattr(self, "system", aliases.UCUM)


class Range(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Range"""

    low: Quantity | None = None
    high: Quantity | None = None


class Ratio(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Ratio"""

    numerator: Quantity | None = None
    denominator: Quantity | None = None


class Period(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Period"""

    start: DateTime | None = None
    end: DateTime | None = None


class SampledData(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#SampledData"""

    origin: Quantity | None = None
    period: Number | None = None  #: milliseconds between samples
    factor: Number | None = None
    lower_limit: Number | None = None
    upper_limit: Number | None = None
    dimensions: int | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        _decimals(self, "period", "factor", "lower_limit", "upper_limit")


class Identifier(Element, frozen=True, kw_only=True):
    """A business identifier; (system, value) names one thing for good.

    https://hl7.org/fhir/R4/datatypes.html#Identifier
    """

    use: str | None = None
    type: CodeableConcept | None = None
    system: str | None = None
    value: str | None = None
    period: Period | None = None
    assigner: "Reference | None" = None


class Reference(Element, frozen=True, kw_only=True):
    """A link to another resource, by address, by identifier or in words.

    https://hl7.org/fhir/R4/references.html
    """

    reference: str | None = None
    type: str | None = None
    identifier: Identifier | None = None
    display: str | None = None


class Annotation(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Annotation"""

    author_reference: Reference | None = None
    author_string: str | None = None
    time: DateTime | None = None
    text: str | None = None


class HumanName(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#HumanName"""

    use: str | None = None
    text: str | None = None
    family: str | None = None
    given: tuple[str | None, ...] = ()
    prefix: tuple[str | None, ...] = ()
    suffix: tuple[str | None, ...] = ()
    period: Period | None = None


class ContactPoint(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#ContactPoint"""

    system: str | None = None
    value: str | None = None
    use: str | None = None
    rank: int | None = None
    period: Period | None = None


class Address(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Address"""

    use: str | None = None
    type: str | None = None
    text: str | None = None
    line: tuple[str | None, ...] = ()
    city: str | None = None
    district: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    period: Period | None = None


class Attachment(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Attachment"""

    content_type: str | None = None
    language: str | None = None
    data: str | None = None
    url: str | None = None
    size: int | None = None
    hash: str | None = None
    title: str | None = None
    creation: DateTime | None = None


class TimingRepeat(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Timing"""

    bounds_duration: Quantity | None = None
    bounds_range: Range | None = None
    bounds_period: Period | None = None
    count: int | None = None  #: how many times in all
    count_max: int | None = None
    duration: Number | None = None
    duration_max: Number | None = None
    duration_unit: str | None = None  #: s min h d wk mo a
    frequency: int | None = None
    frequency_max: int | None = None
    period: Number | None = None
    period_max: Number | None = None
    period_unit: str | None = None
    day_of_week: tuple[str | None, ...] = ()
    time_of_day: tuple[str | None, ...] = ()
    when: tuple[str | None, ...] = ()
    offset: int | None = None

    def __post_init__(self) -> None:
        _decimals(self, "duration", "duration_max", "period", "period_max")


class Timing(Backbone, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/datatypes.html#Timing"""

    event: tuple[DateTime | None, ...] = ()
    repeat: TimingRepeat | None = None
    code: CodeableConcept | None = None


class DoseAndRate(Element, frozen=True, kw_only=True):
    """https://hl7.org/fhir/R4/dosage.html"""

    type: CodeableConcept | None = None
    dose_range: Range | None = None
    dose_quantity: Quantity | None = None
    rate_ratio: Ratio | None = None
    rate_range: Range | None = None
    rate_quantity: Quantity | None = None


class Dosage(Backbone, frozen=True, kw_only=True):
    """How a medicine is ordered or taken.  https://hl7.org/fhir/R4/dosage.html"""

    sequence: int | None = None
    text: str | None = None
    additional_instruction: tuple[CodeableConcept, ...] = ()
    patient_instruction: str | None = None
    timing: Timing | None = None
    as_needed_boolean: bool | None = None
    as_needed_codeable_concept: CodeableConcept | None = None
    site: CodeableConcept | None = None
    route: CodeableConcept | None = None
    method: CodeableConcept | None = None
    dose_and_rate: tuple[DoseAndRate, ...] = ()
    max_dose_per_period: Ratio | None = None
    max_dose_per_administration: Quantity | None = None
    max_dose_per_lifetime: Quantity | None = None


def convert(value: Any, kind: Any) -> Any:
    """Return plain JSON as a data type or record.

    Raises:
        msgspec.ValidationError: the value has another type, e.g. a decimal as string or float.

    """
    return msgspec.convert(
        value, known_to_msgspec(kind), builtin_types=_AS_THEY_ARE, dec_hook=_from_json
    )


_AS_THEY_ARE = (Decimal,)  #: so that a string or a binary float is no decimal


def _from_json(hint: type, value: Any) -> Any:
    """Read dates from their text for msgspec; messages contain no value."""
    if not issubclass(hint, DateTime):
        raise TypeError(f"no way to read {hint.__name__}")
    if value.__class__ is not str:
        raise TypeError(f"not a FHIR {hint.name}: write it as a string")
    return hint(value)


def to_json(value: Any) -> Any:
    """Return the JSON form of a date for msgspec.

    Raises:
        TypeError: the value has no JSON form.

    """
    if isinstance(value, DateTime):
        return value.text
    raise TypeError(f"{type(value).__name__} has no JSON form")


__all__ = [
    "Address", "Annotation", "Attachment", "Backbone", "CodeableConcept", "Coding", "ContactPoint",
    "Date", "DateTime", "Dosage", "DoseAndRate", "Element", "HumanName", "Identifier", "Instant",
    "Json", "Number", "Period", "Quantity", "Range", "Ratio", "Reference", "SampledData", "Timing",
    "TimingRepeat", "convert", "to_json",
]  # fmt: skip
