"""Source lines for reports: values masked, long lines shortened, the position highlighted.

Each line is masked by itself, so this works on text that is not valid JSON too: everything that is
neither a key nor punctuation becomes an ellipsis.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from fhir_b12.definitions import R4
from fhir_b12.printable import printable
from fhir_b12.reports.file_results import Excerpt

WIDTH = 96  #: characters of a line that are shown
_BEFORE = 32  #: of those, minimum number before the highlighted position
_LONG = 1_000_000  #: a longer line is read from the position onward only
_MAX_TOKENS = 120  #: tokens read from there
_TOKEN = re.compile(r'\s+|[{}\[\],:]|"(?:[^"\\]|\\.)*+"?|[^\s{}\[\],:"]+')
_COLON = re.compile(r"\s*:")
_NAME = re.compile(r'"_?[A-Za-z][A-Za-z0-9]{0,63}"')
_LINE_END = re.compile(r"\r\n?|\n")
_MASK = "…"


class _Token(NamedTuple):
    start: int  #: offset in the line
    output_start: int  #: offset in the masked line
    text: str  #: masked text
    kind: str  #: space, mark, key or value


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, separated as JSON positions count them: CR, LF or CRLF."""
    return _LINE_END.split(text)


def mask_line(line: str) -> str:
    """Return a line of JSON with an ellipsis in place of each value."""
    return "".join(token.text for token in _tokenize(line, show_values=False))


def excerpt(line: str, number: int, column: int, *, show_values: bool = False) -> Excerpt:
    """Return the part of a source line around a column, with the token there highlighted.

    Args:
        line: the source line, without its line break.
        number: its line number, from 1.
        column: the column to highlight, from 1, in characters.
        show_values: show the values of the data instead of masking them.

    """
    offset = min(max(column - 1, 0), len(line))
    if len(line) > _LONG:
        line, offset = line[offset : offset + WIDTH * 20], 0
        pairs = zip(_tokenize(line, show_values), range(_MAX_TOKENS), strict=False)
        tokens, lead = [token for token, _ in pairs], _MASK
    else:
        tokens, lead = list(_tokenize(line, show_values)), ""
    text = lead + "".join(token.text for token in tokens)
    start, width = _highlight(tokens, offset)
    return _shorten(text, number, start + len(lead), width)


def _highlight(tokens: list[_Token], offset: int) -> tuple[int, int]:
    """Return start and width of the token at an offset; for `{` and `[` of the key before it."""
    if not tokens:
        return 0, 1
    index = max(bisect_right(tokens, offset, key=lambda token: token.start) - 1, 0)
    token = tokens[index]
    if token.text in {"{", "["}:
        before = [other for other in tokens[max(index - 3, 0) : index] if other.kind != "space"]
        if len(before) >= 2 and before[-1].text == ":" and before[-2].kind == "key":
            token = before[-2]
    if token.kind == "space":
        return token.output_start + min(offset - token.start, len(token.text)), 1
    return token.output_start, max(len(token.text), 1)


def _shorten(text: str, number: int, start: int, width: int) -> Excerpt:
    """Return a window of a long line, with an ellipsis at each end that was cut."""
    indent = len(text) - len(text.lstrip(" ")) if len(text) > WIDTH else 0
    indent = min(indent, start)
    text, start = text[indent:], start - indent
    if len(text) > WIDTH:
        left = max(0, min(start - _BEFORE, len(text) - WIDTH))
        right = left + WIDTH
        head, tail = (_MASK if left else ""), (_MASK if right < len(text) else "")
        text = f"{head}{text[left:right]}{tail}"
        start += len(head) - left
    before = printable(text[:start].expandtabs(4))
    marked = printable(text[start : start + width])
    after = printable(text[start + width :].expandtabs(4))
    return Excerpt(line=number, text=before + marked + after, start=len(before), width=len(marked))


def _tokenize(line: str, show_values: bool) -> Iterator[_Token]:
    output_start = 0
    previous = ""  #: the punctuation or key before
    for match in _TOKEN.finditer(line):
        text = match[0]
        if text.isspace():
            kind = "space"
        elif text in "{}[],:":
            kind = "mark"
            previous = f"{previous}:" if text == ":" and previous.startswith('"') else text
        elif _is_key(line, match, previous):
            kind, previous = "key", text
        else:
            kind = "value"
            text = text if show_values else _mask_value(text, previous)
            previous = "value"
        yield _Token(match.start(), output_start, text, kind)
        output_start += len(text)


def _is_key(line: str, match: "re.Match[str]", previous: str) -> bool:
    """Return whether a string is an object key: where a key may stand, and before a colon.

    A key that cannot be a FHIR element name is treated as a value: it might be one.
    """
    if previous not in {"", "{", ","} or not _NAME.fullmatch(match[0]):
        return False
    return _COLON.match(line, match.end()) is not None


def _mask_value(text: str, previous: str) -> str:
    """Return a value masked; resource types, empty strings and null are not patient data."""
    if previous == '"resourceType":' and R4.is_resource(text.strip('"')):
        return text
    if text in {'""', "null"}:
        return text
    return f'"{_MASK}"' if text[0] == '"' else _MASK
