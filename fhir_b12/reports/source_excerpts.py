"""Lines of the source, to be shown: a patient's values masked, long lines cut, the place marked.

A line is masked by itself, so it works on text that is no JSON too: what is neither a key nor
punctuation becomes an ellipsis.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from fhir_b12.definitions import R4
from fhir_b12.reports.file_results import Excerpt, printable

WIDTH = 96  #: characters of a line that are shown
_BEFORE = 32  #: of those, how many stand before the place at least
_LONG = 1_000_000  #: a longer line is read from the place onward only
_MOST = 120  #: tokens looked at from there
_TOKEN = re.compile(r'\s+|[{}\[\],:]|"(?:[^"\\]|\\.)*+"?|[^\s{}\[\],:"]+')
_COLON = re.compile(r"\s*:")
_NAME = re.compile(r'"_?[A-Za-z][A-Za-z0-9]{0,63}"')
_END = re.compile(r"\r\n?|\n")
_HIDDEN = "…"


class _Token(NamedTuple):
    at: int  #: offset in the line as it is
    shown_at: int  #: offset in the line as it is shown
    text: str  #: as it is shown
    kind: str  #: space, mark, key or value


def lines(text: str) -> list[str]:
    """The lines of a text as the positions of JSON count them."""
    return _END.split(text)


def masked(line: str) -> str:
    """A line of JSON with an ellipsis for each value."""
    return "".join(token.text for token in _tokens(line, show_values=False))


def excerpt(line: str, number: int, column: int, *, show_values: bool = False) -> Excerpt:
    """The part of a line about a column, counted from 1, with what stands there."""
    at = min(max(column - 1, 0), len(line))
    if len(line) > _LONG:
        line, at = line[at : at + WIDTH * 20], 0
        tokens = [token for token, _ in zip(_tokens(line, show_values), range(_MOST), strict=False)]
        lead = _HIDDEN
    else:
        tokens, lead = list(_tokens(line, show_values)), ""
    text = lead + "".join(token.text for token in tokens)
    start, width = _meant(tokens, at)
    return _cut(text, number, start + len(lead), width)


def _meant(tokens: list[_Token], at: int) -> tuple[int, int]:
    """Where the token at an offset is shown and how long; for `{` and `[` the key before them."""
    if not tokens:
        return 0, 1
    index = max(bisect_right(tokens, at, key=lambda token: token.at) - 1, 0)
    token = tokens[index]
    if token.text in {"{", "["}:
        before = [each for each in tokens[max(index - 3, 0) : index] if each.kind != "space"]
        if len(before) >= 2 and before[-1].text == ":" and before[-2].kind == "key":
            token = before[-2]
    if token.kind == "space":
        return token.shown_at + min(at - token.at, len(token.text)), 1
    return token.shown_at, max(len(token.text), 1)


def _cut(text: str, number: int, start: int, width: int) -> Excerpt:
    """A window of a long line, its ends marked where something was left out."""
    indent = len(text) - len(text.lstrip(" ")) if len(text) > WIDTH else 0
    indent = min(indent, start)
    text, start = text[indent:], start - indent
    if len(text) > WIDTH:
        left = max(0, min(start - _BEFORE, len(text) - WIDTH))
        right = left + WIDTH
        head, tail = (_HIDDEN if left else ""), (_HIDDEN if right < len(text) else "")
        text = f"{head}{text[left:right]}{tail}"
        start += len(head) - left
    before = printable(text[:start].expandtabs(4))
    shown = printable(text[start : start + width])
    after = printable(text[start + width :].expandtabs(4))
    return Excerpt(line=number, text=before + shown + after, start=len(before), width=len(shown))


def _tokens(line: str, show_values: bool) -> Iterator[_Token]:
    shown_at = 0
    last = ""  #: the mark or the key before
    for match in _TOKEN.finditer(line):
        text = match[0]
        if text.isspace():
            kind = "space"
        elif text in "{}[],:":
            kind = "mark"
            last = f"{last}:" if text == ":" and last.startswith('"') else text
        elif _is_key(line, match, last):
            kind, last = "key", text
        else:
            kind = "value"
            text = text if show_values else _mask(text, last)
            last = "value"
        yield _Token(match.start(), shown_at, text, kind)
        shown_at += len(text)


def _is_key(line: str, match: "re.Match[str]", last: str) -> bool:
    """True of a string that names a member: before a colon, and where a name may stand.

    A name that no element of FHIR can have is taken for a value: it might be one.
    """
    if last not in {"", "{", ","} or not _NAME.fullmatch(match[0]):
        return False
    return _COLON.match(line, match.end()) is not None


def _mask(text: str, last: str) -> str:
    """What is shown for a value: its kind alone; the type of a resource is no patient's."""
    if last == '"resourceType":' and R4.is_resource(text.strip('"')):
        return text
    if text in {'""', "null"}:
        return text
    return f'"{_HIDDEN}"' if text[0] == '"' else _HIDDEN
