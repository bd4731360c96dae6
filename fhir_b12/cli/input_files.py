"""The files that `validate` is given: folders walked, NDJSON told from JSON."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from fhir_b12.cli.streams import UsageError
from fhir_b12.issues import Issue
from fhir_b12.jsonio import MAX_LINE_BYTES, JsonError, open_stream

STDIN = "-"
_LINES = (".ndjson", ".jsonl")
_WHOLE = (".json",)
_PACKED = (".gz", ".bz2")
_PART = 1024**2  #: bytes read at a time
_BLANK = 100  #: blank lines after the first that are looked past
_CHUNK = 128 * 1024  #: bytes of NDJSON given to a process at a time


class Lines(Protocol):
    """What lines are read from."""

    def readline(self, limit: int = -1, /) -> bytes:
        """The next line, at most so many bytes of it."""
        ...


class Chunk(msgspec.Struct, frozen=True):
    """Some lines of an NDJSON file."""

    file: str
    first: int  #: number of the first line, from 1
    lines: tuple[bytes | JsonError, ...]  #: without their ends; a fault where one cannot be read


def expanded(names: Iterable[str]) -> list[str]:
    """Each file once, those of folders in order; a name that is not there stays, to be told."""
    found: dict[str, None] = {}
    for name in names:
        folder = Path(name)
        if name != STDIN and folder.is_dir():
            inside = [each for each in sorted(folder.rglob("*")) if _is_data(each)]
            if not inside:
                raise UsageError(f"{name}: no .json and no .ndjson file in this folder")
            found |= dict.fromkeys(map(str, inside))
        else:
            found[name] = None
    return list(found)


def _is_data(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts if part not in {".", ".."})
    return not hidden and _kind(path.name).endswith(_WHOLE + _LINES) and path.is_file()


def _kind(name: str) -> str:
    """The name without the ending of its packing."""
    return name[: -len(Path(name).suffix)] if name.endswith(_PACKED) else name


def has_lines(name: str) -> bool:
    """True where each line of a file is a resource, by its name."""
    return _kind(name).endswith(_LINES)


def is_plain(name: str) -> bool:
    """True of a file that can be written back: neither packed nor standard input."""
    return name != STDIN and not name.endswith(_PACKED) and not Path(name).is_dir()


def read(name: str, limit: int) -> bytes:
    """The text of a file, unpacked; one byte more than the limit where it is longer."""
    with open_stream(name) as stream:
        text = bytearray()
        while len(text) <= limit and (part := stream.read(_PART)):
            text += part
    return bytes(text[: limit + 1])


class Standard:
    """Standard input, looked at to tell NDJSON from JSON: two lines that each hold an object."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._head = [stream.readline(limit + 1), stream.readline(limit + 1)]
        while self._head[-1] and self._head[-1].isspace() and len(self._head) < _BLANK:
            self._head.append(stream.readline(limit + 1))

    @property
    def has_lines(self) -> bool:
        """True where each line is a resource."""
        first, second = self._head[0].strip(), self._head[-1].strip()
        return first.startswith(b"{") and first.endswith(b"}") and second.startswith(b"{")

    def readline(self, limit: int = -1) -> bytes:
        """The next line."""
        return self._head.pop(0) if self._head else self._stream.readline(limit)

    def read(self, limit: int) -> bytes:
        """All that is there, up to a limit."""
        head = b"".join(self._head)
        self._head = []
        return head + self._stream.read(max(limit - len(head), 0))


def chunks(name: str, stream: Lines, limit: int | None = None) -> Iterator[Chunk]:
    """The lines of NDJSON by the handful; blank ones are kept so that the numbers are right."""
    limit = min(limit or MAX_LINE_BYTES, MAX_LINE_BYTES)
    held: list[bytes | JsonError] = []
    size, number = 0, 0
    while (line := _next(stream, limit)) is not None:
        number += 1
        held.append(line)
        size += len(line) if isinstance(line, bytes) else 0
        if size > _CHUNK or len(held) >= 1000:
            yield Chunk(name, number - len(held) + 1, tuple(held))
            held, size = [], 0
        if isinstance(line, JsonError) and line.issues[0].code == "structure":
            break  # the stream itself is broken: nothing can follow
    if held:
        yield Chunk(name, number - len(held) + 1, tuple(held))


def _next(stream: Lines, limit: int) -> bytes | JsonError | None:
    """The next line, None after the last."""
    try:
        line = stream.readline(limit + 1)
        if not line:
            return None
        whole = len(line) <= limit or line.endswith(b"\n")
        if whole:
            return line.rstrip(b"\r\n")
        while not whole:
            rest = stream.readline(limit)
            whole = not rest or rest.endswith(b"\n")
    except JsonError as error:
        return error
    message = f"the line is longer than {limit} bytes; split it or raise the limit"
    return JsonError([Issue("fatal", "too-long", "$this", message, line=1, column=1)])
