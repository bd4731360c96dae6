"""Functions on texts.  http://hl7.org/fhirpath/N1/#string-manipulation"""

from fhir_b12.fhirpath.errors import FhirPathError
from fhir_b12.fhirpath.evaluation import Run
from fhir_b12.fhirpath.function_registry import function
from fhir_b12.fhirpath.operators import LONGEST_TEXT
from fhir_b12.fhirpath.values import Items, system
from fhir_b12.regular_expressions import Pattern, PatternError, compile_pattern


@function("indexOf", "text", focus="text")
def index_of(text: str, _run: Run, part: str) -> Items:
    """Where the part first stands, from 0; -1 where it does not."""
    return [text.find(part)]


@function("lastIndexOf", "text", focus="text")
def last_index_of(text: str, _run: Run, part: str) -> Items:
    """Where the part last stands, from 0; -1 where it does not."""
    return [text.rfind(part)]


@function("substring", "integer", "integer", focus="text", least=1)
def substring(text: str, _run: Run, start: int, length: int | None = None) -> Items:
    """From a place on, at most so many characters; empty where the place is not in the text."""
    if not 0 <= start < len(text):
        return []
    return [text[start:] if length is None else text[start : start + max(length, 0)]]


@function("startsWith", "text", focus="text", decides=True)
def starts_with(text: str, _run: Run, part: str) -> bool:
    """The text begins so."""
    return text.startswith(part)


@function("endsWith", "text", focus="text", decides=True)
def ends_with(text: str, _run: Run, part: str) -> bool:
    """The text ends so."""
    return text.endswith(part)


@function("contains", "text", focus="text", decides=True)
def contains(text: str, _run: Run, part: str) -> bool:
    """The part stands somewhere in the text."""
    return part in text


@function("upper", focus="text")
def upper(text: str, _run: Run) -> Items:
    """In capitals."""
    return [text.upper()]


@function("lower", focus="text")
def lower(text: str, _run: Run) -> Items:
    """In small letters."""
    return [text.lower()]


@function("length", focus="text")
def length(text: str, _run: Run) -> Items:
    """How many characters."""
    return [len(text)]


@function("toChars", focus="text")
def characters(text: str, run: Run) -> Items:
    """Its characters."""
    run.spend(len(text))
    return list(text)


@function("trim", focus="text")
def trim(text: str, _run: Run) -> Items:
    """Without blanks around it."""
    return [text.strip()]


@function("split", "text", focus="text")
def split(text: str, run: Run, sign: str) -> Items:
    """The parts between the signs."""
    found = text.split(sign) if sign else list(text)
    run.spend(len(found))
    return list(found)


@function("join", "text", least=0)
def join(items: Items, run: Run, sign: str = "") -> Items:
    """The texts in a row, with a sign between them."""
    run.spend(len(items))
    texts = [each for each in map(system, items) if each is not None]
    if not all(isinstance(each, str) for each in texts):
        raise FhirPathError("join takes texts only")
    if sum(map(len, texts)) + len(sign) * len(texts) > LONGEST_TEXT:
        raise FhirPathError(f"a text is to have at most {LONGEST_TEXT} characters")
    return [sign.join(texts)] if texts else []


@function("matches", "text", focus="text", decides=True)
def matches(text: str, run: Run, pattern: str) -> bool:
    """Return True if some part of the text matches; ^ and $ require all of it.

    http://hl7.org/fhirpath/N1/#matchesregex-string-boolean
    """
    try:
        return _compile(pattern, text, run).search(text)
    except PatternError as error:
        raise FhirPathError(str(error)) from None


@function("matchesFull", "text", focus="text", decides=True)
def matches_full(text: str, run: Run, pattern: str) -> bool:
    """Return True if the whole text matches."""
    try:
        return _compile(pattern, text, run).fullmatch(text)
    except PatternError as error:
        raise FhirPathError(str(error)) from None


@function("replace", "text", "text", focus="text")
def replace(text: str, _run: Run, part: str, other: str) -> Items:
    """Each such part replaced; an empty part stands around every character."""
    if len(text) + (text.count(part) * len(other)) > LONGEST_TEXT:
        raise FhirPathError(f"a text is to have at most {LONGEST_TEXT} characters")
    return [text.replace(part, other)]


@function("replaceMatches", "text", "text", focus="text")
def replace_matches(text: str, run: Run, pattern: str, other: str) -> Items:
    """Replace each match; $1 is the pattern's first group."""
    try:
        compiled = _compile(pattern, text, run)
        return [compiled.replace(text, other, run.spend, LONGEST_TEXT)]
    except PatternError as error:
        raise FhirPathError(str(error)) from None


def _compile(pattern: str, text: str, run: Run) -> Pattern:
    """Compile a pattern and charge a search in this text."""
    compiled = compile_pattern(pattern)
    run.spend(compiled.steps(text))
    return compiled
