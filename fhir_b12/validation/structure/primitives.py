"""Checks of the values of primitive types.  https://hl7.org/fhir/R4/datatypes.html#primitive

The rules are those of the specification's text, not of its looser regular expressions: a date must
be in the calendar, an offset within that of any place, a code must have no stray white space.

Valid values are cached: the same codes, systems and dates occur again and again.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_b12 import dates
from fhir_b12.validation.context import NeedsNormalization
from fhir_b12.validation.findings import Finding

Check = Callable[[Any, Any, list[Finding]], None]  #: appends the faults of a value

MAX_TEXT = 1024 * 1024
_CACHE_SIZE = 4096  #: values of one type; the cache is cleared when it is full
_MAX_CACHED_LENGTH = 256  #: characters of a value that is cached

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
    """A check of texts that caches those without a finding in `valid`."""

    __slots__ = ("_check", "valid")

    def __init__(self, check: Check) -> None:
        self._check = check
        self.valid: set[str] = set()

    def __call__(self, value: str, context: Any, findings: list[Finding]) -> None:
        """Append the faults of a text."""
        valid = self.valid
        if value in valid:
            return
        mark = len(findings)
        self._check(value, context, findings)
        if len(findings) == mark and len(value) <= _MAX_CACHED_LENGTH:
            if len(valid) >= _CACHE_SIZE:
                valid.clear()
            valid.add(value)


def _check_string(value: str, _: Any, findings: list[Finding]) -> None:
    if not value:
        findings.append(Finding("empty-primitive"))
        return
    if value[0].isspace() or value[-1].isspace():
        findings.append(Finding("edge-space" if value.strip() else "blank"))
    _check_characters(value, _, findings)


def _check_characters(value: str, _: Any, findings: list[Finding]) -> None:
    if _CONTROL(value):
        findings.append(Finding("control-character"))
    if len(value) > MAX_TEXT:
        findings.append(Finding("long-text"))


def _check_markdown(value: str, _: Any, findings: list[Finding]) -> None:
    if not value:
        findings.append(Finding("empty-primitive"))
        return
    if value.isspace():
        findings.append(Finding("blank"))
    if "<" in value and _TAG(value):
        findings.append(Finding("markdown-html"))
    _check_characters(value, _, findings)


def _check_uri(value: str, _: Any, findings: list[Finding]) -> None:
    if not value:
        findings.append(Finding("empty-primitive"))
    elif _SPACE(value):
        findings.append(Finding("uri-space"))
    elif value.startswith("urn:oid:"):
        if not _OID(value):
            findings.append(Finding("oid", value=value))
    elif value.startswith("urn:uuid:") and not _UUID(value.partition("#")[0]):
        findings.append(Finding("uuid", value=value))


def _check_canonical(value: str, _: Any, findings: list[Finding]) -> None:
    _check_uri(value.partition("|")[0], _, findings)
    if value and not _ABSOLUTE(value):
        findings.append(Finding("canonical"))


def _build_pattern_check(rule: str, match: Callable[[str], Any]) -> Check:
    """Return a check that appends a finding of a rule unless the value matches."""

    def check(value: str, _: Any, findings: list[Finding]) -> None:
        if not value:
            findings.append(Finding("empty-primitive"))
        elif not match(value):
            findings.append(Finding(rule, value=value))

    return check


def _build_date_check(date_type: type[dates.DateTime]) -> Check:
    def check(value: str, _: Any, findings: list[Finding]) -> None:
        if not value:
            findings.append(Finding("empty-primitive"))
            return
        try:
            date_type(value)
        except ValueError:
            if (
                date_type is dates.DateTime
                and _NO_OFFSET(value)
                and _is_valid_date_time(value + "Z")
            ):
                findings.append(Finding("time-zone"))
            else:
                findings.append(
                    Finding("date", type=date_type.name, form=date_type.forms, value=value)
                )
            return
        if not "1800" <= value[:4] <= "2100":
            findings.append(Finding("odd-year", value=value))

    return check


def _is_valid_date_time(text: str) -> bool:
    try:
        dates.DateTime(text)
    except ValueError:
        return False
    return True


def _check_base64(value: str, _: Any, findings: list[Finding]) -> None:
    if not value:
        findings.append(Finding("empty-primitive"))
        return
    packed = value
    if _SPACE(value):
        packed = "".join(value.split())
        findings.append(Finding("base64-space"))
    if not _BASE64(packed):
        findings.append(Finding("base64"))


def _build_integer_check(type_name: str, low: int, high: int) -> Check:
    def check(value: Any, _: Any, findings: list[Finding]) -> None:
        if value.__class__ is not int or not low <= value <= high:
            findings.append(Finding("integer", type=type_name, low=low, high=high, value=value))

    return check


def _check_decimal(value: Any, _: Any, findings: list[Finding]) -> None:
    if value.__class__ not in _NUMBERS:
        raise NeedsNormalization
    if value.__class__ is int:
        if not -_DECIMAL_LIMIT < value < _DECIMAL_LIMIT:
            findings.append(Finding("decimal-range"))
    elif value.__class__ is Decimal and len(str(value)) > 18 and _count_digits(value) > 18:
        findings.append(Finding("decimal-range"))


def _count_digits(value: Decimal) -> int:
    return len(value.as_tuple().digits)


def _check_nothing(value: Any, _: Any, findings: list[Finding]) -> None:
    """Check nothing: any boolean is valid, and narratives are checked as a whole."""


_NUMBERS = frozenset({int, Decimal, float})
_DECIMAL_LIMIT = 10**18  #: a decimal has at most 18 digits
_LARGEST = 2**31 - 1

#: Check by type.
CHECKS: dict[str, Check] = {
    "string": CachedCheck(_check_string),
    "markdown": _check_markdown,
    "code": CachedCheck(_build_pattern_check("code-space", _CODE)),
    "uri": CachedCheck(_check_uri),
    "url": CachedCheck(_check_uri),
    "canonical": CachedCheck(_check_canonical),
    "oid": CachedCheck(_build_pattern_check("oid", _OID)),
    "uuid": CachedCheck(_build_pattern_check("uuid", _UUID)),
    "id": CachedCheck(_build_pattern_check("id", _ID)),
    "date": CachedCheck(_build_date_check(dates.Date)),
    "dateTime": CachedCheck(_build_date_check(dates.DateTime)),
    "instant": CachedCheck(_build_date_check(dates.Instant)),
    "time": CachedCheck(_build_pattern_check("time", _TIME)),
    "base64Binary": _check_base64,
    "integer": _build_integer_check("integer", -(2**31), _LARGEST),
    "positiveInt": _build_integer_check("positiveInt", 1, _LARGEST),
    "unsignedInt": _build_integer_check("unsignedInt", 0, _LARGEST),
    "decimal": _check_decimal,
    "boolean": _check_nothing,
    "xhtml": _check_nothing,
}

#: JSON type by type; all others are strings.
JSON_TYPES = {
    "boolean": "boolean",
    "integer": "number",
    "positiveInt": "number",
    "unsignedInt": "number",
    "decimal": "number",
}
