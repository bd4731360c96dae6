"""Parse a JSON text even if it has faults, so that its content is validated too."""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from fhir_b12.issues import Issue
from fhir_b12.jsonscan import MAX_DEPTH, Scan, number_fault
from fhir_b12.validation.findings import Path

UNREADABLE = object()  #: the value of a text that cannot be parsed

_BOM = "the text starts with a byte order mark: save it without one, not every reader skips it"


def strip_byte_order_mark(
    data: str | bytes | bytearray | memoryview,
) -> tuple[bytes, tuple[Issue, ...]]:
    """Return the bytes of a text without a byte order mark, and a warning if it had one.

    A str with half a surrogate pair becomes bytes that are not UTF-8, which the parser reports.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    if not raw.startswith(BOM_UTF8):
        return raw, ()
    warning = Issue("warning", "structure", "$this", _BOM, rule="byte-order-mark", line=1, column=1)
    return raw[len(BOM_UTF8) :], (warning,)


def parse_leniently(raw: bytes) -> Any:
    """Return the value of a text whose faults leave no doubt about it; else UNREADABLE.

    Of two members with one name the first counts. Numbers beyond the limits are not parsed:
    the limits bound the cost.
    """
    try:
        text = raw.decode()
        value = _loads(text)
    except (ValueError, RecursionError):
        return UNREADABLE
    return UNREADABLE if is_too_deep(value) else value


def locate_values(raw: bytes) -> Mapping[Path, tuple[int, int]]:
    """Return line and column of each value by its path, also for a text with faults."""
    scan = Scan(raw.decode("utf-8", "surrogateescape"), record_offsets=True)
    return {path: scan.position(at) for path, at in (scan.offsets or {}).items()}


def _build_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object in which the first member of each name counts."""
    result: dict[str, Any] = {}
    for name, value in members:
        result.setdefault(name, value)
    return result


def _parse_number(text: str) -> Decimal | int:
    if number_fault(text):
        raise ValueError(text)
    return Decimal(text) if text == "-0" or not text.lstrip("-").isdigit() else int(text)


_loads = json.JSONDecoder(
    object_pairs_hook=_build_object,
    parse_float=_parse_number,
    parse_int=_parse_number,
    strict=False,
).decode


def is_too_deep(value: Any) -> bool:
    """Return True if arrays and objects are nested more deeply than in any real resource."""
    stack = [(value, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, dict | list):
            if depth >= MAX_DEPTH:
                return True
            parts = node.values() if isinstance(node, dict) else node
            stack += [(part, depth + 1) for part in parts]
    return False
