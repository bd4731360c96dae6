"""Text of search values: normalization for the index, separators and escapes.

https://hl7.org/fhir/R4/search.html#escaping
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

LONGEST = 400  #: characters of a text that are indexed and compared


def clip(text: str) -> str:
    """Return the part of a text that is indexed."""
    return text[:LONGEST]


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Return a text without case and accents.  https://hl7.org/fhir/R4/search.html#string"""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return clip("".join(letter for letter in decomposed if not unicodedata.combining(letter)))


def split_escaped(text: str, separator: str) -> Iterator[str]:
    """Yield the parts of a search value between unescaped separators, escapes unchanged."""
    part, index = [], 0
    while index < len(text):
        letter = text[index]
        if letter == "\\" and index + 1 < len(text):
            part.append(text[index : index + 2])
            index += 2
            continue
        if letter == separator:
            yield "".join(part)
            part = []
        else:
            part.append(letter)
        index += 1
    yield "".join(part)


def unescape(text: str) -> str:
    """Return a part of a search value without its escapes."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(.*)", re.DOTALL)


def split_prefix(text: str) -> tuple[str, str]:
    """Return the comparison prefix of a value, "eq" if missing, and the rest.

    https://hl7.org/fhir/R4/search.html#prefix
    """
    match = _PREFIX.fullmatch(text)
    assert match is not None
    return match[1] or "eq", match[2]
