"""Regular expressions that always come to an end.

http://hl7.org/fhirpath/N1/#matchesregex-string-boolean
"""

import re
from collections.abc import Callable
from functools import lru_cache

from fhir_b12.fhirpath.errors import FhirPathError

LONGEST_PATTERN = 2_000  #: characters
Spend = Callable[[int], None]


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern, its dot matching line ends too."""
    if len(pattern) > LONGEST_PATTERN:
        raise FhirPathError(f"a regular expression has at most {LONGEST_PATTERN} characters")
    try:
        return re.compile(pattern, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise FhirPathError(f"no regular expression: {error}") from None


def searched(pattern: str, text: str, spend: Spend, *, whole: bool = False) -> bool:
    """Whether a part of the text, or the whole of it, is as the pattern says."""
    spend(1 + len(text) // 100)
    expression = compiled(pattern)
    return bool(expression.fullmatch(text) if whole else expression.search(text))


def replaced(pattern: str, text: str, other: str, spend: Spend) -> str:
    """The text with each part that is as the pattern says replaced."""
    spend(1 + len(text) // 100)
    return compiled(pattern).sub(re.sub(r"\\(?!\d)", r"\\\\", _groups(other)), text)


def _groups(text: str) -> str:
    return re.sub(r"\$(\d+)", r"\\g<\1>", text)
