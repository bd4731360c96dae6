"""Lines and columns of elements in a JSON text, computed only for the elements requested.

Recording the position of every element costs far more than validating the text. Here only the
objects on the path to an element are opened; the JSON reader skips everything beside the path.
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


class _ByteRange(NamedTuple):
    """First byte of a value, and the byte after its last."""

    start: int
    end: int


class SourceText:
    """Text of a JSON file with the positions of its elements.

    If the text is not valid JSON, its lines are available all the same.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._ranges: dict[str, _ByteRange] = {"": _ByteRange(_match_end(_SPACE, raw, 0), len(raw))}
        self._opened: set[str] = set()

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in _LINE_END.finditer(self._raw))]

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self._line_starts)

    def line(self, number: int) -> str:
        """Return a line, counted from 1, without its line break."""
        start = self._line_starts[number - 1]
        end = self._line_starts[number] if number < len(self) else len(self._raw)
        return self._raw[start:end].decode("utf-8", "surrogateescape").rstrip("\r\n")

    def position(self, pointer: str) -> tuple[int, int]:
        """Return line and column, from 1, of the value at a JSON Pointer.

        If there is no such value, return those of the innermost object or list that exists.
        """
        current = ""
        for part in pointer.split("/")[1:]:
            if current not in self._opened:
                self._open(current)
            child = f"{current}/{part}"
            if child not in self._ranges:
                break
            current = child
        offset = self._ranges[current].start
        line = bisect_right(self._line_starts, offset)
        before = self._raw[self._line_starts[line - 1] : offset]
        return line, len(before.decode("utf-8", "surrogateescape")) + 1

    def _open(self, pointer: str) -> None:
        """Record the byte ranges of the members or items of a value."""
        self._opened.add(pointer)
        start, end = self._ranges[pointer]
        raw = self._raw[start:end]
        try:
            if raw.startswith(b"{"):
                self._record_members(pointer, start, raw)
            elif raw.startswith(b"["):
                self._record_items(pointer, start, raw)
        except msgspec.MsgspecError:
            return  # not valid JSON: the position of the whole value is used

    def _record_members(self, pointer: str, start: int, raw: bytes) -> None:
        offset = 1
        for name, value in _object.decode(raw).items():
            offset = _match_end(_KEY, raw, offset)
            end = offset + len(memoryview(value))
            key = name.replace("~", "~0").replace("/", "~1")
            self._ranges[f"{pointer}/{key}"] = _ByteRange(start + offset, start + end)
            offset = end

    def _record_items(self, pointer: str, start: int, raw: bytes) -> None:
        offset = 1
        for index, value in enumerate(_list.decode(raw)):
            offset = _after_comma(raw, offset) if index else _match_end(_SPACE, raw, 1)
            end = offset + len(memoryview(value))
            self._ranges[f"{pointer}/{index}"] = _ByteRange(start + offset, start + end)
            offset = end


def _after_comma(raw: bytes, offset: int) -> int:
    """Return the offset of the item after the next comma."""
    return _match_end(_SPACE, raw, raw.index(b",", offset) + 1)


def _match_end(pattern: "re.Pattern[bytes]", raw: bytes, offset: int) -> int:
    match = pattern.match(raw, offset)
    return match.end() if match else offset
