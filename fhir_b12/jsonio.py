r"""Exact reading and writing of JSON.  https://hl7.org/fhir/R4/json.html

The digits of a FHIR decimal are significant: `1.50` is not `1.5`. So numbers with a fraction or an
exponent become `decimal.Decimal`, keys keep their order, and ambiguous texts (duplicate keys, NaN,
half a surrogate pair) are rejected with line and column.

Three readers, each slower and more thorough: msgspec, verified by writing the value again; the
standard library, for valid texts that msgspec writes differently (`\u00e9`, `1e2`, `-0`); and
`fhir_b12.jsonscan`, which reports every fault.
"""

import bz2
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from decimal import (
    Clamped,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    Overflow,
    Rounded,
    Subnormal,
    Underflow,
)
from math import isfinite
from pathlib import Path as FilePath
from typing import Any, BinaryIO, Protocol, cast

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.jsonscan import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_EXPONENT,
    Path,
    Position,
    Scan,
    expression,
    number_fault,
)

MAX_BYTES = 64 * 1024**2  #: one text; far above the largest patient record of Synthea
MAX_LINE_BYTES = 16 * 1024**2  #: one line of NDJSON, i.e. one resource
MAX_STREAM_BYTES = 4 * 1024**3  #: largest decompressed size of a stream

_UNVERIFIED = object()
# Stricter than the limits, by a margin for leading zeros and the digits of the exponent: a number
# near the limits raises a signal here, so that the second reader decides.
_NARROW = Context(
    prec=MAX_DIGITS - 20,
    Emax=MAX_EXPONENT,
    Emin=-MAX_EXPONENT // 2,
    traps=[Clamped, Inexact, InvalidOperation, Overflow, Rounded, Subnormal, Underflow],
)
_decode = msgspec.json.Decoder(float_hook=_NARROW.create_decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_SUSPECT_TEXTS = (b"null", b"NaN", b"Infinity")
_LARGE_EXPONENT = re.compile(rb"E[-+][0-9]{5}")
_DIGITS_AS_ZEROS = bytes(ord("0") if chr(code) in "0123456789." else 32 for code in range(256))
_LONG_NUMBER = b"0" * (MAX_DIGITS - 100)
_TOO_LONG_INT = 10**MAX_DIGITS
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_AS_PARENTHESES = bytes.maketrans(b"[{]}", b"(())")
_NO_BRACKETS = bytes(set(range(256)) - set(b'[{]}"'))
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonError(ValueError):
    """Error for a text that cannot be read or a value that cannot be written; see `issues`."""

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__(self.issues)

    def __str__(self) -> str:
        return "\n".join(map(str, self.issues))


def loads(
    data: bytes | bytearray | memoryview | str,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
) -> Any:
    """Return the value of a JSON text, with Decimals for numbers with a fraction or exponent.

    Args:
        data: the text, UTF-8 if bytes.
        max_bytes: largest size of the text in bytes.
        max_depth: deepest nesting of arrays and objects.

    Returns:
        Dicts with keys in order, lists, strings, ints, Decimals, booleans, None.

    Raises:
        JsonError: the text is not JSON, too large, or has duplicate keys, NaN or half a surrogate
            pair; `issues` lists all faults with line and column.

    """
    if len(data) > max_bytes:
        raise _too_long_error(max_bytes)
    try:
        raw = data.encode() if isinstance(data, str) else bytes(data)
    except UnicodeEncodeError:
        raise JsonError(Scan(str(data), max_depth).issues()) from None
    if len(raw) > max_bytes:
        raise _too_long_error(max_bytes)
    value = _read_verified(raw, max_depth)
    if value is _UNVERIFIED:
        value = _read_with_json(raw, max_depth)
    return value


def _too_long_error(max_bytes: int, line: int = 1) -> JsonError:
    message = f"the text is larger than {max_bytes} bytes; split it or raise the limit"
    return JsonError([Issue("fatal", "too-long", "$this", message, line=line, column=1)])


def _read_verified(raw: bytes, max_depth: int) -> Any:
    """Return the value if writing it gives the same text apart from white space.

    Else return `_UNVERIFIED`. Equal bytes show that no key and no digit was lost.
    """
    try:
        value = _decode(raw)
        written = _encode(value)
        if written != msgspec.json.format(raw, indent=-1):
            return _UNVERIFIED
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return _UNVERIFIED
    if b"\\" in written and b"\\u0000" in written:
        return _UNVERIFIED
    return _UNVERIFIED if _is_too_deep(written, max_depth) else value


def _read_with_json(raw: bytes, max_depth: int) -> Any:
    """Return the value as the standard library reads it.

    Raises:
        JsonError: the text has a fault.

    """
    problem: Exception
    try:
        value = _read_strictly(raw.decode())
        if b"\\u0000" not in _encode(value) and not _is_too_deep(raw, max_depth):
            return value
        problem = ValueError()
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
        problem, value = error, _UNVERIFIED
    if issues := Scan(raw.decode("utf-8", "surrogateescape"), max_depth).issues():
        raise JsonError(issues) from None
    if value is _UNVERIFIED:  # the text is valid, but Python lacks resources, e.g. stack
        raise problem
    return value


def _strict_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("duplicate key")
    return value


def _strict_number(text: str) -> Decimal | int:
    if number_fault(text):
        raise ValueError("number beyond the limits")
    return Decimal(text) if text == "-0" or not text.lstrip("-").isdigit() else int(text)


def _reject_constant(text: str) -> Any:
    raise ValueError(text)


_read_strictly = json.JSONDecoder(
    object_pairs_hook=_strict_object,
    parse_float=_strict_number,
    parse_int=_strict_number,
    parse_constant=_reject_constant,
).decode


def _is_too_deep(raw: bytes, max_depth: int) -> bool:
    """Return True if arrays and objects of valid JSON are nested deeper than `max_depth`."""
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return False
    if b"\\" in raw:
        raw = _STRING.sub(b"", raw)
    brackets = raw.translate(_AS_PARENTHESES, _NO_BRACKETS).replace(b'""', b"")
    if b'"' in brackets:
        brackets = _STRING.sub(b"", brackets)
    for _ in range(max_depth):  # each round removes the innermost brackets
        brackets = brackets.replace(b"()", b"")
        if not brackets:
            return False
    return True


def positions(data: bytes | bytearray | memoryview | str) -> dict[Path, Position]:
    """Return line and column of each value in a JSON text by its path.

    `{("component", 0, "code"): (3, 17)}`; both count from 1, in characters; the root is `()`.

    Raises:
        JsonError: see `loads`.

    """
    if len(data) > MAX_BYTES:
        raise _too_long_error(MAX_BYTES)
    text = data if isinstance(data, str) else bytes(data).decode("utf-8", "surrogateescape")
    scan = Scan(text, record_offsets=True)
    if scan.faults:
        raise JsonError(scan.issues())
    return {path: scan.position(at) for path, at in (scan.offsets or {}).items()}


def dumps(value: Any, *, indent: int | None = None) -> bytes:
    """Return a value as JSON in UTF-8, decimals with all their digits.

    Args:
        value: plain JSON with Decimals, or a struct.
        indent: spaces for each level; None for no white space.

    Returns:
        The text; `loads` returns the value again.

    Raises:
        JsonError: JSON or FHIR has no form for the value: NaN, infinity, U+0000, half a surrogate
            pair, a number too long, nesting too deep.

    """
    try:
        raw = _encode(value)
    except RecursionError:
        message = "the value is nested too deeply or contains itself; flatten it"
        raise JsonError([Issue("fatal", "too-costly", "$this", message)]) from None
    except ValueError:
        if issues := _unwritable(value):
            raise JsonError(issues) from None
        raise
    crowded = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
    # Only numbers can be too long or too large, and msgspec writes float("nan") as null.
    if (crowded or _needs_inspection(raw)) and (issues := _unwritable(value)):
        raise JsonError(issues)
    return raw if indent is None else msgspec.json.format(raw, indent=indent)


def _needs_inspection(raw: bytes) -> bool:
    """Return True if the value must be inspected for faults, which is rare."""
    if any(mark in raw for mark in _SUSPECT_TEXTS) or (b"\\" in raw and b"\\u0000" in raw):
        return True
    if _LARGE_EXPONENT.search(raw):
        return True
    return len(raw) > len(_LONG_NUMBER) and _LONG_NUMBER in raw.translate(_DIGITS_AS_ZEROS)


def _unwritable(value: Any) -> list[Issue]:
    """Return an issue for everything in a value that JSON or FHIR cannot represent."""
    plain = msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True)
    root = plain.get("resourceType") if isinstance(plain, dict) else None
    faults: list[tuple[Path, str]] = []
    pending: list[tuple[Path, Any]] = [((), plain)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, dict | list | tuple):
            if len(path) >= MAX_DEPTH:
                faults.append((path, f"nested deeper than {MAX_DEPTH} levels; flatten the value"))
                continue
            members = list(node.items() if isinstance(node, dict) else enumerate(node))
            faults += [((*path, key), fault) for key, _ in members if (fault := _fault_of(key))]
            pending += [((*path, key), member) for key, member in reversed(members)]
        elif fault := _fault_of(node):
            faults.append((path, fault))
    name = root if isinstance(root, str) and root.isidentifier() else "$this"
    return [Issue("error", "value", expression(name, path), fault) for path, fault in faults]


def _fault_of(scalar: Any) -> str | None:
    """Return why a string or number cannot be written, None if it can."""
    if isinstance(scalar, str):
        if "\0" in scalar:
            return "the character U+0000 is not allowed in FHIR; remove it"
        if not scalar.isascii() and _SURROGATE.search(scalar):
            return "unpaired surrogate, which is not a character; remove it"
    elif isinstance(scalar, float | Decimal) and not _is_finite(scalar):
        return "NaN and Infinity are not JSON numbers; omit the value"
    elif isinstance(scalar, Decimal):
        return number_fault(str(scalar))
    elif isinstance(scalar, int) and abs(scalar) >= _TOO_LONG_INT:
        return f"number with more than {MAX_DIGITS} digits; shorten it"
    return None


def _is_finite(number: float | Decimal) -> bool:
    """Return True if a number is neither NaN nor infinite."""
    return number.is_finite() if isinstance(number, Decimal) else isfinite(number)


def read_lines(
    stream: BinaryIO, *, max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, Any | JsonError]]:
    """Yield line number and value of each line of NDJSON; an invalid line gives its JsonError.

    Blank lines are skipped; only one line is in memory.  https://hl7.org/fhir/R4/nd-json.html
    """
    number = 0
    while True:
        number += 1
        try:
            line = read_line(stream, max_line_bytes)
        except JsonError as error:  # the stream is corrupt, so no more lines can be read
            yield number, _on_line(number, error)
            return
        if not line:
            return
        if line.strip(b" \t\r\n"):
            yield number, _line_value(line.rstrip(b"\r\n"), number, max_line_bytes)


class LineSource(Protocol):
    """Source of lines, e.g. a binary stream."""

    def readline(self, limit: int = -1, /) -> bytes:
        """Return the next line, at most `limit` bytes of it; b"" at the end."""
        ...


def read_line(source: LineSource, max_bytes: int) -> bytes:
    """Return the next line with its line break; b"" at the end.

    Of a line longer than `max_bytes` the first `max_bytes + 1` bytes; the rest is skipped.
    """
    line = source.readline(max_bytes + 1)
    whole = len(line) <= max_bytes or line.endswith(b"\n")
    while not whole:
        rest = source.readline(max_bytes)
        whole = not rest or rest.endswith(b"\n")
    return line


def _line_value(line: bytes, number: int, max_line_bytes: int) -> Any | JsonError:
    try:
        return loads(line, max_bytes=max_line_bytes)
    except JsonError as error:
        return _on_line(number, error)


def _on_line(number: int, error: JsonError) -> JsonError:
    return JsonError(msgspec.structs.replace(issue, line=number) for issue in error.issues)


def open_stream(
    source: str | FilePath | BinaryIO, *, max_bytes: int = MAX_STREAM_BYTES
) -> BinaryIO:
    """Return a file (`-` is standard input) or binary stream, decompressed if it is gzip or bzip2.

    Reading raises JsonError if the compressed data is corrupt or larger than `max_bytes`. Closing
    the result closes a file that was opened here, but not a stream that was passed.
    """
    opened = isinstance(source, str | FilePath) and str(source) != "-"
    inner: BinaryIO
    if opened:
        inner = FilePath(cast("str", source)).open("rb")  # noqa: SIM115  # the caller closes it
    else:
        inner = sys.stdin.buffer if isinstance(source, str | FilePath) else source
    head = inner.read(3)
    raw: BinaryIO = io.BufferedReader(_PrefixedStream(head, inner, close=opened))
    if head[:2] == b"\x1f\x8b":
        return _decompress(gzip.GzipFile(fileobj=raw), raw, max_bytes)
    if head == b"BZh":
        return _decompress(bz2.BZ2File(raw), raw, max_bytes)
    return raw


def _decompress(stream: Any, packed: BinaryIO, max_bytes: int) -> BinaryIO:
    return io.BufferedReader(_DecompressedStream(stream, packed, max_bytes))


class _PrefixedStream(io.RawIOBase):
    """A stream with the first bytes, already read to detect the format, put back."""

    def __init__(self, head: bytes, inner: BinaryIO, *, close: bool) -> None:
        self._head, self._inner, self._close = head, inner, close

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            data = self._inner.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._close:
            self._inner.close()
        super().close()


class _DecompressedStream(io.RawIOBase):
    """A decompressed stream of limited size that raises JsonError for corrupt data."""

    def __init__(self, stream: Any, packed: BinaryIO, max_bytes: int) -> None:
        self._stream, self._packed = stream, packed
        self._left = self._max_bytes = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            message = "the compressed data is truncated or corrupt; download it again"
            raise JsonError([Issue("fatal", "structure", "$this", message)]) from error
        self._left -= len(data)
        if self._left < 0:
            message = (
                f"the decompressed data is larger than {self._max_bytes} bytes; raise the limit"
            )
            raise JsonError([Issue("fatal", "too-long", "$this", message)])
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._packed.close()
        super().close()
