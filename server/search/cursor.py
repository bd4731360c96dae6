"""Page cursors: sort keys of the last row of a page, as opaque text for `_page`.

https://hl7.org/fhir/R4/http.html#paging
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec

INVALID = "invalid cursor: follow the next link of the previous page"


def encode_cursor(values: Iterable[Any]) -> str:
    """Return the cursor of a row."""
    raw = msgspec.json.encode(list(values))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(text: str, form: Any = list[int | float | str | None]) -> tuple[Any, ...]:
    """Return the values of a cursor.

    Args:
        text: the cursor, as the client sent it.
        form: the type that the values must have.

    Raises:
        ValueError: the text is not a cursor of this form.

    """
    try:
        raw = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
        return tuple(msgspec.json.decode(raw, type=form))
    except (binascii.Error, ValueError, msgspec.DecodeError, UnicodeError):
        raise ValueError(INVALID) from None
