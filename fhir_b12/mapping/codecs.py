"""Values in FHIR's spelling and in the record's: a codec knows values and no paths.

Most rows need none: a record keeps FHIR's own data types, and `plain` reads and writes them. The
others are here by the name a table gives them in `as`.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from fhir_b12.datatypes import DateTime, Period, Quantity, to_json


class Codec(msgspec.Struct, frozen=True):
    """A pair of functions and the type of the FHIR side.

    `decode` gives None where the value is not of its kind: the next way to read is tried.
    `encode` gives None where it cannot write the value; a codec without one only reads.
    """

    wire: Any  #: what the element holds, e.g. str
    value: Any  #: what the record's field holds
    decode: Callable[[Any], Any]
    encode: Callable[[Any], Any] | None
    says: str


dump = msgspec.json.Encoder(decimal_format="number", enc_hook=to_json).encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def builtins(value: Any) -> Any:
    """A value as plain JSON, as `fhir_b12.loads` would give it: dicts, lists, Decimals."""
    return _decode(dump(value))


def _moment(value: DateTime) -> Period:
    return Period(start=value)


def _of_moment(value: Period) -> str | None:
    alone = value.start is not None and value.end is None and not value.extension
    return value.start.text if alone and value.start else None


_RESULT = re.compile(
    r"\s*(?P<comparator><=|>=|<|>|≤|≥)?\s*"
    r"(?P<value>-?(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?)(?:\s*(?P<unit>[^\s\d<>=.,;:-][^\s<>=;]{0,31}))?\s*",
    re.ASCII,
)
_COMPARATORS = {"≤": "<=", "≥": ">="}


def result(text: str) -> Quantity | None:
    """`<150` or `>2000 pg/mL` as a Quantity; None where the text says anything else.

    A bare number stays text: without comparator or unit it may be a code or a titre.
    """
    match = _RESULT.fullmatch(text)
    if match is None or not (match["comparator"] or match["unit"]):
        return None
    comparator = _COMPARATORS.get(match["comparator"], match["comparator"])
    quantity = Quantity(value=Decimal(match["value"]), comparator=comparator, unit=match["unit"])
    known = quantity.unit is None or quantity.code is not None
    return quantity if known else None


CODECS = {
    "moment": Codec(DateTime, Period, _moment, _of_moment, "a dateTime, read as a period's start"),
    "result": Codec(str, Quantity, result, None, "a number written as text, e.g. <150"),
}
