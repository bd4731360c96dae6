"""The shape of a regular expression: read so that its cost can be told before it is run.

https://www.w3.org/TR/xmlschema11-2/#regexs names the forms; Java's and Python's are alike in what
rules of FHIR use. Classes of characters are not looked into: Python's `re` judges one character.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

Test = Callable[[str], bool]  #: whether one character fits

#: As Java has it: the dot fits line ends, and letters and digits of classes are those of ASCII.
FLAGS = re.DOTALL | re.ASCII
_MANY = 10**9  #: more than is ever run
_REPEAT = re.compile(r"(?:[*+?]|\{(\d{1,5})(,(\d{1,5})?)?\})[?+]?")
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]", re.DOTALL)
_PROPERTY = re.compile(r"\\([pP])\{(?:Is)?(\w+)\}")
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_OPENING = re.compile(r"\((?:\?(?::|P?<[A-Za-z]\w*>))?")
_ANCHORS = {"A": "start", "Z": "end", "z": "end", "b": "edge", "B": "inside"}
#: Java's names for general categories of Unicode.
_NAMES = {"Alpha": "L", "Digit": "Nd", "Punct": "P", "Lower": "Ll", "Upper": "Lu"}


class UnreadableError(ValueError):
    """A form this reader does not know: only Python's own engine can run it."""


@dataclass(frozen=True, slots=True)
class One:
    """One character that fits."""

    fits: Test


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place: `start`, `end`, `edge` of a word or `inside` one."""

    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    parts: "tuple[Shape, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    """One of them."""

    parts: "tuple[Shape, ...]"


@dataclass(frozen=True, slots=True)
class Times:
    """So many times; `most` is None where there is no end."""

    part: "Shape"
    least: int
    most: int | None


Shape = One | Anchor | Row | Either | Times


def cost(shape: Shape, length: int) -> int:
    """How many ways a backtracking engine may try from one place of a text so long, at most."""
    if isinstance(shape, One | Anchor):
        return 1
    if isinstance(shape, Either):
        return min(_MANY, sum(cost(each, length) for each in shape.parts))
    if isinstance(shape, Row):
        total = 1
        for each in shape.parts:
            total = min(_MANY, total * cost(each, length))
        return total
    inner = cost(shape.part, length)
    if shape.least == shape.most:
        if inner > 1:
            return min(_MANY, int(inner ** min(shape.least, 40)))
        return 1 if isinstance(shape.part, One) else max(1, shape.least)
    ways = length if shape.most is None else min(shape.most, length)
    # what may vary within what may vary: the number of ways is exponential
    return ways + 1 if inner == 1 else 2 * inner if shape.most == 1 else _MANY


def read(pattern: str) -> Shape:
    """The shape of a pattern.

    Raises:
        UnreadableError: it looks around, refers back, or has another form not known here.

    """
    reader = _Reader(pattern)
    shape = reader.either(0)
    if reader.at < len(pattern):
        raise UnreadableError
    return shape


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def match(self, form: re.Pattern[str]) -> re.Match[str] | None:
        found = form.match(self.pattern, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def either(self, depth: int) -> Shape:
        if depth > 40:
            raise UnreadableError
        parts = [self.row(depth)]
        while self.pattern[self.at : self.at + 1] == "|":
            self.at += 1
            parts.append(self.row(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def row(self, depth: int) -> Shape:
        parts: list[Shape] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            parts.append(self.repeated(self.atom(depth)))
        return Row(tuple(parts))

    def repeated(self, part: Shape) -> Shape:
        found = self.match(_REPEAT)
        if found is None:
            return part
        sign = found.group()[0]
        if sign == "{":
            least = int(found[1])
            most = int(found[3]) if found[3] else None if found[2] else least
        else:
            least = 1 if sign == "+" else 0
            most = 1 if sign == "?" else None
        if found.group()[-1] == "+" and len(found.group()) > 1:
            raise UnreadableError  # possessive
        return Times(part, least, most)

    def atom(self, depth: int) -> Shape:
        sign = self.pattern[self.at]
        if sign == "(":
            return self.group(depth)
        if sign == "[":
            return self.one(_CLASS)
        if sign == "\\":
            return self.escape()
        if sign in "*+?{":
            raise UnreadableError
        self.at += 1
        if sign in "^$":
            return Anchor("start" if sign == "^" else "end")
        return One(lambda _each: True) if sign == "." else One(lambda each: each == sign)

    def group(self, depth: int) -> Shape:
        found = self.match(_OPENING)
        if found is None or self.pattern[self.at : self.at + 1] == "?":
            raise UnreadableError
        inner = self.either(depth + 1)
        if self.pattern[self.at : self.at + 1] != ")":
            raise UnreadableError
        self.at += 1
        return inner

    def escape(self) -> Shape:
        if found := self.match(_PROPERTY):
            return One(_has_category(found[2], inverse=found[1] == "P"))
        sign = self.pattern[self.at + 1 : self.at + 2]
        if sign in _ANCHORS:
            self.at += 2
            return Anchor(_ANCHORS[sign])
        if sign == "" or sign in "123456789kGQE":
            raise UnreadableError
        return self.one(_ESCAPE)

    def one(self, form: re.Pattern[str]) -> Shape:
        found = self.match(form)
        if found is None:
            raise UnreadableError
        try:
            fits = re.compile(found.group(), FLAGS).fullmatch
        except (re.error, OverflowError):
            raise UnreadableError from None
        return One(lambda each: fits(each) is not None)


def _has_category(name: str, *, inverse: bool) -> Test:
    wanted = _NAMES.get(name, name)
    return lambda each: unicodedata.category(each).startswith(wanted) is not inverse
