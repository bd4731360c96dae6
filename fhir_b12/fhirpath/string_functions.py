"""Functions on strings.  http://hl7.org/fhirpath/N1/#string-manipulation"""

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Evaluation
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import MAX_TEXT_LENGTH
from fhir_b12.fhirpath.values import Items, system
from fhir_b12.regular_expressions import Pattern, PatternError, compile_pattern


@function("indexOf", "text", focus="text")
def index_of(text: str, _evaluation: Evaluation, part: str) -> Items:
    """Return the 0-based index of the first occurrence, -1 if there is none."""
    return [text.find(part)]


@function("lastIndexOf", "text", focus="text")
def last_index_of(text: str, _evaluation: Evaluation, part: str) -> Items:
    """Return the 0-based index of the last occurrence, -1 if there is none."""
    return [text.rfind(part)]


@function("substring", "integer", "integer", focus="text", min_arguments=1)
def substring(text: str, _evaluation: Evaluation, start: int, length: int | None = None) -> Items:
    """Return the part from an index on; empty if the index is out of range."""
    if not 0 <= start < len(text):
        return []
    return [text[start:] if length is None else text[start : start + max(length, 0)]]


@function("startsWith", "text", focus="text", returns_boolean=True)
def starts_with(text: str, _evaluation: Evaluation, part: str) -> bool:
    """Return True if the text starts with the prefix."""
    return text.startswith(part)


@function("endsWith", "text", focus="text", returns_boolean=True)
def ends_with(text: str, _evaluation: Evaluation, part: str) -> bool:
    """Return True if the text ends with the suffix."""
    return text.endswith(part)


@function("contains", "text", focus="text", returns_boolean=True)
def contains(text: str, _evaluation: Evaluation, part: str) -> bool:
    """Return True if the text contains the part."""
    return part in text


@function("upper", focus="text")
def upper(text: str, _evaluation: Evaluation) -> Items:
    """Return the text in upper case."""
    return [text.upper()]


@function("lower", focus="text")
def lower(text: str, _evaluation: Evaluation) -> Items:
    """Return the text in lower case."""
    return [text.lower()]


@function("length", focus="text")
def length(text: str, _evaluation: Evaluation) -> Items:
    """Return the number of characters."""
    return [len(text)]


@function("toChars", focus="text")
def characters(text: str, evaluation: Evaluation) -> Items:
    """Return the characters of the text."""
    evaluation.spend(len(text))
    return list(text)


@function("trim", focus="text")
def trim(text: str, _evaluation: Evaluation) -> Items:
    """Return the text without leading and trailing white space."""
    return [text.strip()]


@function("split", "text", focus="text")
def split(text: str, evaluation: Evaluation, separator: str) -> Items:
    """Split the text at each separator."""
    parts = text.split(separator) if separator else list(text)
    evaluation.spend(len(parts))
    return list(parts)


@function("join", "text", min_arguments=0)
def join(items: Items, evaluation: Evaluation, separator: str = "") -> Items:
    """Join the texts with a separator.

    Raises:
        FhirPathError: An item is no string, or the result is too long.

    """
    evaluation.spend(len(items))
    texts = [value for value in map(system, items) if value is not None]
    if not all(isinstance(value, str) for value in texts):
        raise FhirPathError("join() requires strings")
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT_LENGTH:
        raise FhirPathError(f"the result has more than {MAX_TEXT_LENGTH} characters")
    return [separator.join(texts)] if texts else []


@function("matches", "text", focus="text", returns_boolean=True)
def matches(text: str, evaluation: Evaluation, pattern: str) -> bool:
    """Return True if some part of the text matches; ^ and $ require all of it.

    http://hl7.org/fhirpath/N1/#matchesregex-string-boolean

    Raises:
        FhirPathError: The pattern is invalid or not supported.

    """
    try:
        return _compile(pattern, text, evaluation).search(text)
    except PatternError as error:
        raise FhirPathError(str(error)) from None


@function("matchesFull", "text", focus="text", returns_boolean=True)
def matches_full(text: str, evaluation: Evaluation, pattern: str) -> bool:
    """Return True if the whole text matches.

    Raises:
        FhirPathError: The pattern is invalid or not supported.

    """
    try:
        return _compile(pattern, text, evaluation).fullmatch(text)
    except PatternError as error:
        raise FhirPathError(str(error)) from None


@function("replace", "text", "text", focus="text")
def replace(text: str, _evaluation: Evaluation, part: str, other: str) -> Items:
    """Replace each occurrence; an empty part occurs around every character.

    Raises:
        FhirPathError: The result is too long.

    """
    if len(text) + (text.count(part) * len(other)) > MAX_TEXT_LENGTH:
        raise FhirPathError(f"the result has more than {MAX_TEXT_LENGTH} characters")
    return [text.replace(part, other)]


@function("replaceMatches", "text", "text", focus="text")
def replace_matches(text: str, evaluation: Evaluation, pattern: str, other: str) -> Items:
    """Replace each match; $1 is the pattern's first group.

    Raises:
        FhirPathError: The pattern is invalid, or the result is too long.

    """
    try:
        compiled = _compile(pattern, text, evaluation)
        return [compiled.replace(text, other, evaluation.spend, MAX_TEXT_LENGTH)]
    except PatternError as error:
        raise FhirPathError(str(error)) from None


def _compile(pattern: str, text: str, evaluation: Evaluation) -> Pattern:
    """Compile a pattern and charge a search in this text."""
    compiled = compile_pattern(pattern)
    evaluation.spend(compiled.steps(text))
    return compiled
