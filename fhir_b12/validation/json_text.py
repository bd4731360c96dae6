"""Read a JSON text even where something is wrong with it, so that all else is checked too."""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.jsonscan import MAX_DEPTH, Scan, number_fault
from fhir_b12.validation.findings import Path

NOTHING = object()  #: what a text says that cannot be read

_BOM = "a byte order mark stands first; save without it, for not every reader skips it"


def read(data: str | bytes | bytearray | memoryview) -> tuple[bytes, tuple[Issue, ...]]:
    """The bytes of the text without a byte order mark, and what is said of that.

    A text that has half a surrogate pair is given as bytes that are no UTF-8, which is then said.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    if not raw.startswith(BOM_UTF8):
        return raw, ()
    mark = Issue("warning", "structure", "$this", _BOM, rule="byte-order-mark", line=1, column=1)
    return raw[len(BOM_UTF8) :], (mark,)


def parse_leniently(raw: bytes) -> Any:
    """The value of a text with faults that leave no doubt what is meant; else NOTHING.

    Of two members of one name the first counts. Numbers beyond the limits are not read: what they
    would cost is what the limits are for.
    """
    try:
        text = raw.decode()
        value = _loads(text)
    except (ValueError, RecursionError):
        return NOTHING
    return NOTHING if is_too_deep(value) else value


def lines(raw: bytes) -> Mapping[Path, tuple[int, int]]:
    """Line and column of each value, also of a text with faults."""
    scan = Scan(raw.decode("utf-8", "surrogateescape"), keep_spots=True)
    return {path: scan.place(at) for path, at in (scan.spots or {}).items()}


def _first(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in members:
        made.setdefault(name, value)
    return made


def _number(text: str) -> Decimal | int:
    if number_fault(text):
        raise ValueError(text)
    return Decimal(text) if text == "-0" or not text.lstrip("-").isdigit() else int(text)


_loads = json.JSONDecoder(
    object_pairs_hook=_first, parse_float=_number, parse_int=_number, strict=False
).decode


def is_too_deep(value: Any) -> bool:
    """True where more arrays and objects stand within each other than any resource has."""
    waiting = [(value, 0)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, dict | list):
            if depth >= MAX_DEPTH:
                return True
            parts = node.values() if isinstance(node, dict) else node
            waiting += [(part, depth + 1) for part in parts]
    return False
