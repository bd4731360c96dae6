"""Tokens of an expression.  http://hl7.org/fhirpath/N1/#tokens"""

import re
from typing import Literal, NamedTuple

from fhir_b12.fhirpath.errors import FhirPathError

MAX_EXPRESSION_LENGTH = 50_000  #: characters of an expression

TokenType = Literal[
    "name", "quoted", "text", "number", "temporal", "external", "special", "sign", "end"
]

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n\r]*|/\*.*?\*/)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<text>'(?:[^'\\]|\\.)*')
    |(?P<quoted>`(?:[^`\\]|\\.)*`|"(?:[^"\\]|\\.)*")
    |(?P<temporal>@(?:T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
        |\d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)?))
    |(?P<external>%(?:(?:vs|ext)-[\w-]+|\w+|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
    |(?P<special>\$\w+)
    |(?P<sign>!=|!~|<=|>=|/(?!\*)|[-.+*&|=~<>()\[\]{},])""",
    re.ASCII | re.DOTALL | re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"} | {sign: sign for sign in "\\'\"`/"}


class Token(NamedTuple):
    """A token: its type, its text without quotes, and its column, counted from 1."""

    type: TokenType
    text: str
    column: int


def tokenize(expression: str) -> list[Token]:
    """Split an expression into tokens, followed by an `end` token.

    Raises:
        FhirPathError: A character is invalid, a text does not end, an escape is unknown.

    """
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise FhirPathError(f"the expression has more than {MAX_EXPRESSION_LENGTH} characters")
    tokens: list[Token] = []
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise FhirPathError(_explain_invalid_character(expression[position:]), position + 1)
        group = match.lastgroup
        if group != "blank":
            tokens.append(Token(group, _token_text(match.group(), position), position + 1))  # type: ignore[arg-type]
        position = match.end()
    tokens.append(Token("end", "", position + 1))
    return tokens


def _explain_invalid_character(rest: str) -> str:
    if rest[0] in "'`\"":
        return f"the text after {rest[0]} does not end: close it with {rest[0]}"
    if rest.startswith("/*"):
        return "the comment does not end: close it with */"
    if rest[0] == "@":
        return "write a date as @2026-03-09, a time as @T09:15, both as @2026-03-09T09:15:00Z"
    return f"unexpected character {rest[0]!r}"


def _token_text(text: str, at: int) -> str:
    """Return the text of a token; strings and quoted names without quotes and escapes."""
    if text[0] in "'`\"":
        return unescape(text[1:-1], at)
    if text[0] == "%":
        return unescape(text[2:-1], at) if text[1] in "'`\"" else text[1:]
    return text


def unescape(text: str, at: int) -> str:
    """Return a text with its escapes resolved.  http://hl7.org/fhirpath/N1/#string

    Args:
        text: The text between the quotes.
        at: 0-based position of the opening quote in the expression, for errors.

    Raises:
        FhirPathError: An escape is unknown.

    """

    def resolve(match: re.Match[str]) -> str:
        code, sign = match.groups()
        if code:
            return chr(int(code, 16))
        if sign not in _ESCAPED:
            raise FhirPathError(f"unknown escape \\{sign}", at + match.start() + 2)
        return _ESCAPED[sign]

    return _ESCAPE.sub(resolve, text) if "\\" in text else text
