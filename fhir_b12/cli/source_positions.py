"""Lines and columns of places in a JSON text, found only where they are asked for.

A walk over the whole text costs far more than validating it. Here only the objects on the way to a
place are looked into; what stands beside the way is stepped over by the JSON reader.
"""

import re
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

import msgspec

_LINE_END = re.compile(rb"\r\n?|\n")
_KEY = re.compile(rb'[\s,]*("[^"\\]*+(?:\\.[^"\\]*+)*+")\s*:\s*')
_SPACE = re.compile(rb"\s*")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])


class _Spot(NamedTuple):
    """A value: where it begins and ends, in bytes."""

    start: int
    end: int


class Text:
    """A JSON text that is known to be right, or at least the lines of one that is not."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._spots: dict[str, _Spot] = {"": _Spot(_end(_SPACE, raw, 0), len(raw))}
        self._opened: set[str] = set()

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self._raw))]

    def __len__(self) -> int:
        """The number of lines."""
        return len(self._starts)

    def line(self, number: int) -> str:
        """A line, counted from 1, without its end."""
        start = self._starts[number - 1]
        end = self._starts[number] if number < len(self) else len(self._raw)
        return self._raw[start:end].decode("utf-8", "surrogateescape").rstrip("\r\n")

    def place(self, pointer: str) -> tuple[int, int]:
        """Line and column, both from 1, of the value at a JSON Pointer or of what would hold it."""
        parts = pointer.split("/")[1:]
        here = ""
        for part in parts:
            if here not in self._opened:
                self._open(here)
            below = f"{here}/{part}"
            if below not in self._spots:
                break
            here = below
        at = self._spots[here].start
        line = bisect_right(self._starts, at)
        before = self._raw[self._starts[line - 1] : at]
        return line, len(before.decode("utf-8", "surrogateescape")) + 1

    def _open(self, pointer: str) -> None:
        """Find the members or items of the value at a pointer."""
        self._opened.add(pointer)
        start, end = self._spots[pointer]
        raw = self._raw[start:end]
        try:
            if raw.startswith(b"{"):
                self._members(pointer, start, raw)
            elif raw.startswith(b"["):
                self._items(pointer, start, raw)
        except msgspec.MsgspecError:
            return  # no JSON: the place of the whole must do

    def _members(self, pointer: str, start: int, raw: bytes) -> None:
        at = 1
        for name, value in _object.decode(raw).items():
            at = _end(_KEY, raw, at)
            end = at + len(memoryview(value))
            key = name.replace("~", "~0").replace("/", "~1")
            self._spots[f"{pointer}/{key}"] = _Spot(start + at, start + end)
            at = end

    def _items(self, pointer: str, start: int, raw: bytes) -> None:
        at = 1
        for index, value in enumerate(_list.decode(raw)):
            at = _next(raw, at) if index else _end(_SPACE, raw, 1)
            end = at + len(memoryview(value))
            self._spots[f"{pointer}/{index}"] = _Spot(start + at, start + end)
            at = end


def _next(raw: bytes, at: int) -> int:
    """Where the item after a comma begins."""
    return _end(_SPACE, raw, raw.index(b",", at) + 1)


def _end(pattern: "re.Pattern[bytes]", raw: bytes, at: int) -> int:
    match = pattern.match(raw, at)
    return match.end() if match else at
