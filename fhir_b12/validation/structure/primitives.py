"""What each primitive type may hold.  https://hl7.org/fhir/R4/datatypes.html#primitive

The rules are those of the text of the specification, not of its looser regular expressions: a date
is in the calendar, an offset within that of any place, a code has no stray white space.

What was found right is remembered for a while: the same codes, systems and dates come again.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_b12 import dates
from fhir_b12.validation.context import NeedsNormalization
from fhir_b12.validation.findings import Finding

Check = Callable[[Any, Any, list[Finding]], None]  #: appends what is wrong with a value of a type

MAX_TEXT = 1024 * 1024
_REMEMBERED = 4096  #: values of one type; more and all are forgotten
_LONG = 256  #: characters of a value that is not worth remembering

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_CODE = re.compile(r"\S+(?: \S+)*").fullmatch
_SPACE = re.compile(r"\s").search
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]").search
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_HEX = "[0-9a-f]"
_UUID = re.compile(
    f"urn:uuid:{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
).fullmatch
_TIME = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?", re.ASCII).fullmatch
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?").fullmatch
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:|#").match
_NO_OFFSET = re.compile(r"T[0-9:.]*$").search
_TAG = re.compile(r"<[a-zA-Z]").search


class CachedCheck:
    """A check of texts that passes over those it has found right before: they are in `right`."""

    __slots__ = ("_check", "right")

    def __init__(self, check: Check) -> None:
        self._check = check
        self.right: set[str] = set()

    def __call__(self, value: str, context: Any, found: list[Finding]) -> None:
        """Append what is wrong with a text."""
        right = self.right
        if value in right:
            return
        mark = len(found)
        self._check(value, context, found)
        if len(found) == mark and len(value) <= _LONG:
            if len(right) >= _REMEMBERED:
                right.clear()
            right.add(value)


def _text(value: str, _: Any, found: list[Finding]) -> None:
    if not value:
        found.append(Finding("empty-primitive"))
        return
    if value[0].isspace() or value[-1].isspace():
        found.append(Finding("edge-space" if value.strip() else "blank"))
    _characters(value, _, found)


def _characters(value: str, _: Any, found: list[Finding]) -> None:
    if _CONTROL(value):
        found.append(Finding("control-character"))
    if len(value) > MAX_TEXT:
        found.append(Finding("long-text"))


def _markdown(value: str, _: Any, found: list[Finding]) -> None:
    if not value:
        found.append(Finding("empty-primitive"))
        return
    if value.isspace():
        found.append(Finding("blank"))
    if "<" in value and _TAG(value):
        found.append(Finding("markdown-html"))
    _characters(value, _, found)


def _uri(value: str, _: Any, found: list[Finding]) -> None:
    if not value:
        found.append(Finding("empty-primitive"))
    elif _SPACE(value):
        found.append(Finding("uri-space"))
    elif value.startswith("urn:oid:"):
        if not _OID(value):
            found.append(Finding("oid", value=value))
    elif value.startswith("urn:uuid:") and not _UUID(value.partition("#")[0]):
        found.append(Finding("uuid", value=value))


def _canonical(value: str, _: Any, found: list[Finding]) -> None:
    _uri(value.partition("|")[0], _, found)
    if value and not _ABSOLUTE(value):
        found.append(Finding("canonical"))


def _pattern(rule: str, match: Callable[[str], Any]) -> Check:
    def check(value: str, _: Any, found: list[Finding]) -> None:
        if not value:
            found.append(Finding("empty-primitive"))
        elif not match(value):
            found.append(Finding(rule, value=value))

    return check


def _dated(kind: type[dates.DateTime]) -> Check:
    def check(value: str, _: Any, found: list[Finding]) -> None:
        if not value:
            found.append(Finding("empty-primitive"))
            return
        try:
            kind(value)
        except ValueError:
            if kind is dates.DateTime and _NO_OFFSET(value) and _is_real(value + "Z"):
                found.append(Finding("time-zone"))
            else:
                found.append(Finding("date", type=kind.name, form=kind.forms, value=value))
            return
        if not "1800" <= value[:4] <= "2100":
            found.append(Finding("odd-year", value=value))

    return check


def _is_real(text: str) -> bool:
    try:
        dates.DateTime(text)
    except ValueError:
        return False
    return True


def _base64(value: str, _: Any, found: list[Finding]) -> None:
    if not value:
        found.append(Finding("empty-primitive"))
        return
    packed = value
    if _SPACE(value):
        packed = "".join(value.split())
        found.append(Finding("base64-space"))
    if not _BASE64(packed):
        found.append(Finding("base64"))


def _whole(kind: str, low: int, high: int) -> Check:
    def check(value: Any, _: Any, found: list[Finding]) -> None:
        if value.__class__ is not int or not low <= value <= high:
            found.append(Finding("integer", type=kind, low=low, high=high, value=value))

    return check


def _decimal(value: Any, _: Any, found: list[Finding]) -> None:
    if value.__class__ not in _NUMBERS:
        raise NeedsNormalization
    if value.__class__ is int:
        if not -_TOO_LONG < value < _TOO_LONG:
            found.append(Finding("decimal-range"))
    elif value.__class__ is Decimal and len(str(value)) > 18 and _digits(value) > 18:
        found.append(Finding("decimal-range"))


def _digits(value: Decimal) -> int:
    return len(value.as_tuple().digits)


def _anything(value: Any, _: Any, found: list[Finding]) -> None:
    """Booleans are right as they are; narratives are checked as a whole."""


_NUMBERS = frozenset({int, Decimal, float})
_TOO_LONG = 10**18
_LARGEST = 2**31 - 1

#: type -> its check; what is not named here is a string
CHECKS: dict[str, Check] = {
    "string": CachedCheck(_text),
    "markdown": _markdown,
    "code": CachedCheck(_pattern("code-space", _CODE)),
    "uri": CachedCheck(_uri),
    "url": CachedCheck(_uri),
    "canonical": CachedCheck(_canonical),
    "oid": CachedCheck(_pattern("oid", _OID)),
    "uuid": CachedCheck(_pattern("uuid", _UUID)),
    "id": CachedCheck(_pattern("id", _ID)),
    "date": CachedCheck(_dated(dates.Date)),
    "dateTime": CachedCheck(_dated(dates.DateTime)),
    "instant": CachedCheck(_dated(dates.Instant)),
    "time": CachedCheck(_pattern("time", _TIME)),
    "base64Binary": _base64,
    "integer": _whole("integer", -(2**31), _LARGEST),
    "positiveInt": _whole("positiveInt", 1, _LARGEST),
    "unsignedInt": _whole("unsignedInt", 0, _LARGEST),
    "decimal": _decimal,
    "boolean": _anything,
    "xhtml": _anything,
}

#: type -> what JSON writes it as; what is not named here is a string
JSON_TYPES = {
    "boolean": "boolean",
    "integer": "number",
    "positiveInt": "number",
    "unsignedInt": "number",
    "decimal": "number",
}
