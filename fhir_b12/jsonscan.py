"""Scan a JSON text for every fault and the position of every value.

https://www.rfc-editor.org/rfc/rfc8259

The slow and thorough reader of `fhir_b12.jsonio`: it builds no values, does not recurse, and
continues after every fault that it can skip.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from fhir_b12.issues import Issue, Severity

Path: TypeAlias = tuple[str | int, ...]
Position: TypeAlias = tuple[int, int]  #: line and column, from 1, in characters

MAX_DEPTH = 100  #: levels of nested arrays and objects; the deepest R4 example has about 20
MAX_DIGITS = 4300  #: digits of one number, as `sys.int_info.default_max_str_digits`
MAX_EXPONENT = 9999  #: far beyond any quantity, and still cheap to calculate with
MAX_FAULTS = 1000  #: most faults listed for one text, to limit memory

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE]([-+]?[0-9]+))?")
_SPACE = re.compile(r"[ \t\n\r]*+")
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_WORD = re.compile(r"[-+.\w]++")
_LINE_END = re.compile(r"\r\n?|\n")
_LITERALS = {"true", "false", "null"}
_NOT_NUMBERS = {"NaN", "Infinity", "-Infinity", "+Infinity", "-NaN", "+NaN"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPE_NAME = re.compile(r'"([A-Z][A-Za-z]{1,63})"')
_HEX = "[0-9a-fA-F]"
_PART = re.compile(
    rf"(?P<pair>\\u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}})"
    rf"|(?P<nul>\\u0000)|(?P<lone>\\u[dD][89a-fA-F]{_HEX}{{2}})"
    rf'|(?P<fine>\\u{_HEX}{{4}}|\\["\\/bfnrt])|(?P<escape>\\)'
    r"|(?P<control>[\x00-\x1f])|(?P<raw>[\ud800-\udfff]+)",
)
_PART_FAULTS: dict[str, tuple[Severity, str, str]] = {
    "nul": ("error", "value", "the character U+0000 is not allowed in FHIR; remove it"),
    "lone": (
        "error",
        "value",
        "unpaired surrogate escape, which is not a character; write both halves of the pair",
    ),
    "escape": (
        "fatal",
        "structure",
        "invalid escape sequence; write \\\\ for a backslash",
    ),
    "control": (
        "fatal",
        "structure",
        "unescaped control character in a string; write \\u and its four hexadecimal digits",
    ),
    "raw": ("fatal", "structure", "invalid UTF-8; save the text as UTF-8"),
}


class Fault(NamedTuple):
    """One fault, with its path and offset."""

    severity: Severity
    code: str
    path: Path
    at: int  #: offset in characters
    message: str


class _StopError(Exception):
    """Signal that the text after a fault cannot be read."""


_Step: TypeAlias = Callable[[], "_Step | None"]


class Scan:
    """Scan of one text; sets `faults` and `offsets` (path -> offset, None if not recorded)."""

    def __init__(
        self, text: str, max_depth: int = MAX_DEPTH, *, record_offsets: bool = False
    ) -> None:
        self.text = text
        self.faults: list[Fault] = []
        self.offsets: dict[Path, int] | None = {} if record_offsets else None
        self.root = "$this"
        self._max_depth = max_depth
        self._at = 0
        self._path: list[str | int] = []
        self._open_keys: list[
            dict[str, int] | None
        ] = []  # keys of each open object, None for an array
        self._line_starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
        with suppress(_StopError):
            self._walk()

    def issues(self) -> tuple[Issue, ...]:
        """Return all faults as issues, in the order of the text."""
        return tuple(self._issue(fault) for fault in self.faults)

    def position(self, at: int) -> Position:
        """Return line and column of an offset, both from 1."""
        line = bisect_right(self._line_starts, at)
        return line, at - self._line_starts[line - 1] + 1

    def _issue(self, fault: Fault) -> Issue:
        line, column = self.position(fault.at)
        where = expression(self.root, fault.path)
        return Issue(fault.severity, fault.code, where, fault.message, line=line, column=column)

    def _fault(self, severity: Severity, code: str, message: str, at: int | None = None) -> None:
        if len(self.faults) == MAX_FAULTS:
            message = f"more than {MAX_FAULTS} faults; fix those above and read again"
            severity, code = "fatal", "too-costly"
        where = self._at if at is None else at
        self.faults.append(Fault(severity, code, tuple(self._path), where, message))
        if len(self.faults) > MAX_FAULTS:
            raise _StopError

    def _stop(self, message: str) -> _StopError:
        if "\ud800" <= self._next() <= "\udfff":
            message = _PART_FAULTS["raw"][2]
        self._fault("fatal", "structure", message)
        return _StopError()

    def _next(self) -> str:
        """Return the next character after white space, "" at the end."""
        self._at = _SPACE.match(self.text, self._at).end()  # type: ignore[union-attr]  # may be empty
        return self.text[self._at : self._at + 1]

    def _walk(self) -> None:
        if self.text.startswith("\ufeff"):
            self._fault(
                "fatal",
                "structure",
                "byte order mark at the start; save the text as UTF-8 without it",
            )
            self._at = 1
        if not self._next():
            raise self._stop("the text is empty; expected a JSON value")
        step: _Step | None = self._value
        while step:
            step = step()

    def _value(self) -> _Step | None:
        opener = self._next()
        if self.offsets is not None:
            self.offsets[tuple(self._path)] = self._at
        if opener == "[":
            return self._open(None, self._first_item)
        if opener == "{":
            return self._open({}, self._first_member)
        if opener == '"':
            token = self._string()
            if self._path == ["resourceType"] and (name := _TYPE_NAME.fullmatch(token)):
                self.root = name[1]
        else:
            self._word()
        return self._after

    def _open(self, keys: dict[str, int] | None, next_step: _Step) -> _Step:
        if len(self._open_keys) >= self._max_depth:
            message = f"nested deeper than {self._max_depth} levels; flatten the text"
            self._fault("fatal", "too-costly", message)
            raise _StopError
        self._open_keys.append(keys)
        self._at += 1
        return next_step

    def _close(self) -> _Step:
        self._open_keys.pop()
        self._at += 1
        return self._after

    def _first_item(self) -> _Step:
        if self._next() == "]":
            return self._close()
        self._path.append(0)
        return self._value

    def _first_member(self) -> _Step:
        if self._next() == "}":
            return self._close()
        self._path.append("")
        return self._member

    def _member(self) -> _Step:
        self._path.pop()
        if self._next() != '"':
            raise self._stop("expected a key in double quotes")
        at = self._at
        key = _unescaped(self._string())
        keys = self._open_keys[-1]
        assert keys is not None
        self._path.append(key)
        if key in keys:
            line, column = self.position(keys[key])
            message = f"duplicate key, first at line {line}, column {column}; remove one of them"
            self._fault("error", "structure", message, at)
        keys.setdefault(key, at)
        if self._next() != ":":
            raise self._stop("expected a colon after the key")
        self._at += 1
        return self._value

    def _after(self) -> _Step | None:
        """Read what follows a value: a comma, the end of its container, or the end of the text."""
        character = self._next()
        if not self._open_keys:
            if character:
                raise self._stop("text after the end of the JSON value; remove it")
            return None
        last = self._path.pop()
        closer = "]" if self._open_keys[-1] is None else "}"
        if character == closer:
            return self._close()
        if character != ",":
            self._path.append(last)
            raise self._stop(f"expected a comma or {closer} after the value")
        comma = self._at
        self._at += 1
        if self._next() == closer:
            self._fault("fatal", "structure", f"trailing comma before {closer}; remove it", comma)
            return self._close()
        self._path.append(last + 1 if isinstance(last, int) else "")
        return self._value if closer == "]" else self._member

    def _string(self) -> str:
        match = _STRING.match(self.text, self._at)
        if not match:
            raise self._stop("unterminated string; close it with a double quote")
        for part in _PART.finditer(self.text, match.start() + 1, match.end() - 1):
            if part.lastgroup in _PART_FAULTS:
                self._fault(*_PART_FAULTS[part.lastgroup], part.start())
        self._at = match.end()
        return match[0]

    def _word(self) -> None:
        """Read a bare word: a number, true, false, null, or a fault."""
        match = _WORD.match(self.text, self._at)
        if not match:
            raise self._stop("expected a value")
        word = match[0]
        if word in _NOT_NUMBERS:
            self._fault("error", "value", "NaN and Infinity are not JSON numbers; omit the value")
        elif NUMBER.fullmatch(word):
            if limit := number_fault(word):
                self._fault("error", "value", limit)
        elif word not in _LITERALS:
            message = (
                "not a JSON value; write a number, a string in double quotes, true, false or null"
            )
            self._fault("fatal", "structure", message)
        self._at = match.end()


def number_fault(number: str) -> str | None:
    """Return why a well-formed number exceeds the limits, None if it does not."""
    if len(number) > MAX_DIGITS and sum(map(str.isdigit, number)) > MAX_DIGITS:
        return f"number with more than {MAX_DIGITS} digits; shorten it"
    exponent = NUMBER.fullmatch(number)
    if exponent and exponent[1] and abs(int(exponent[1])) > MAX_EXPONENT:
        return f"exponent larger than {MAX_EXPONENT}; write a smaller one"
    return None


def expression(root: str, path: Path) -> str:
    """Return a path as FHIRPath: `Observation.component[0].code`.  http://hl7.org/fhirpath/N1/"""
    return root + "".join(f"[{key}]" if isinstance(key, int) else f".{_name(key)}" for key in path)


def _name(key: str) -> str:
    if _IDENTIFIER.fullmatch(key):
        return key[:64]
    plain = json.dumps(key[:64])[1:-1].replace("`", "\\`")
    return f"`{plain}`"


def _unescaped(token: str) -> str:
    """Return the value of a string token; the token itself if an escape is invalid."""
    if "\\" not in token:
        return token[1:-1]
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token[1:-1]
