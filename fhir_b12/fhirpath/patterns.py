"""Regular expressions that always come to an end.

http://hl7.org/fhirpath/N1/#matchesregex-string-boolean

Python's engine backtracks: `(a+)+b` may take for ever. So the ways it may try are counted first;
where they are too many an automaton runs instead, and what no automaton can do is refused.
"""

import re
import warnings
from functools import lru_cache

from fhir_b12.fhirpath.automaton import Automaton, TooLargeError
from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.function_registry import Spend
from fhir_b12.fhirpath.operators import LONGEST_TEXT
from fhir_b12.fhirpath.regex import FLAGS, Shape, UnreadableError, cost, read

LONGEST_PATTERN = 2_000  #: characters
MOST_WAYS = 200_000  #: that Python's engine may try, some milliseconds
SHORT = 24  #: characters on which even 2 ** n ways are few enough
_GROUP = re.compile(r"\\(.)|\$(\d)", re.DOTALL)


class Pattern:
    """A regular expression: Python's own, and its shape where that can be read."""

    def __init__(self, source: str) -> None:
        if len(source) > LONGEST_PATTERN:
            raise FhirPathError(f"a regular expression has at most {LONGEST_PATTERN} characters")
        self.source = source
        self.shape: Shape | None = None
        self.own: re.Pattern[str] | None = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # forms that Python may read otherwise one day
                self.own = re.compile(source, FLAGS)
        except (re.error, OverflowError, RecursionError) as error:
            if r"\p" not in source.lower():
                raise FhirPathError(f"no regular expression: {error}") from None
        try:
            self.shape = read(source)
        except UnreadableError:
            if self.own is None:
                raise FhirPathError("this form of regular expression is not supported") from None

    def is_quick(self, length: int) -> bool:
        """Whether Python's engine ends soon on a text so long."""
        if self.own is None:
            return False
        if self.shape is None:
            return length <= SHORT and not any(each in self.source for each in "*+{")
        return (length + 1) * cost(self.shape, length) <= MOST_WAYS

    def automaton(self) -> Automaton:
        """The automaton of the shape.

        Raises:
            FhirPathError: there is none.

        """
        if self.shape is None:
            raise self.refusal()
        try:
            return _automaton(self)
        except TooLargeError:
            raise FhirPathError("the regular expression repeats too much: simplify it") from None

    def refusal(self) -> FhirPathError:
        """Why it is not run."""
        return FhirPathError(
            "the regular expression may take too long on a text of this length: "
            "avoid repetitions within repetitions, looking around and references back"
        )


@lru_cache(maxsize=256)
def pattern(source: str) -> Pattern:
    """A pattern, its dot fitting line ends too."""
    return Pattern(source)


@lru_cache(maxsize=16)
def _automaton(of: Pattern) -> Automaton:
    assert of.shape is not None
    return Automaton(of.shape)


def searched(source: str, text: str, spend: Spend, *, whole: bool = False) -> bool:
    """Whether a part of the text, or the whole of it, is as the pattern says."""
    found = pattern(source)
    spend(1 + len(text) // 100)
    if found.is_quick(len(text)):
        assert found.own is not None
        return bool(found.own.fullmatch(text) if whole else found.own.search(text))
    return found.automaton().runs(text, spend, whole=whole)


def replaced(source: str, text: str, other: str, spend: Spend) -> str:
    """The text with each part that is as the pattern says replaced; `$1` is the first group.

    An empty pattern replaces nothing.
    """
    if not source:
        return text
    found = pattern(source)
    spend(1 + len(text) // 100)
    if found.own is None or not found.is_quick(len(text)):
        raise found.refusal()
    size = 0

    def put(match: re.Match[str]) -> str:
        nonlocal size
        one = _GROUP.sub(lambda sign: _meant(sign, match), other)
        size += len(one)
        if size > LONGEST_TEXT:
            raise FhirPathError(f"a text is to have at most {LONGEST_TEXT} characters")
        return one

    return found.own.sub(put, text)


def _meant(sign: re.Match[str], match: re.Match[str]) -> str:
    if sign[2] is None:
        return sign[1]
    number = int(sign[2])
    if number > match.re.groups:
        raise FhirPathError(f"the regular expression has no group {number}")
    return match[number] or ""
