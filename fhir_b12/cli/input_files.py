"""Input files of `validate`: folders searched, NDJSON distinguished from JSON."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from fhir_b12.cli.streams import (
    COMPRESSED_SUFFIXES,
    NDJSON_SUFFIXES,
    STDIN,
    UsageError,
    without_compression,
)
from fhir_b12.issues import Issue
from fhir_b12.jsonio import MAX_LINE_BYTES, JsonError, LineSource, read_line

_JSON_SUFFIXES = (".json",)
_MAX_BLANK = 100  #: blank lines after the first that are skipped to recognise NDJSON
_CHUNK_BYTES = 128 * 1024  #: bytes of NDJSON given to a process at a time
_CHUNK_LINES = 1000  #: lines of NDJSON given to a process at a time


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive lines of an NDJSON file."""

    file: str
    first: int  #: number of the first line, from 1
    lines: tuple[bytes | JsonError, ...]  #: without line breaks; an error for an unreadable line


def expand_paths(names: Iterable[str]) -> list[str]:
    """Return each file once, those of folders sorted; missing files stay in the list.

    Args:
        names: files, folders or `-`.

    Raises:
        UsageError: a folder contains no data.

    """
    files: dict[str, None] = {}
    for name in names:
        folder = Path(name)
        if name != STDIN and folder.is_dir():
            inside = [path for path in sorted(folder.rglob("*")) if _is_data_file(path)]
            if not inside:
                raise UsageError(f"{name}: no .json, .ndjson or .jsonl file in this folder")
            files |= dict.fromkeys(map(str, inside))
        else:
            files[name] = None
    return list(files)


def _is_data_file(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts if part not in {".", ".."})
    suffixes = _JSON_SUFFIXES + NDJSON_SUFFIXES
    return not hidden and without_compression(path.name).endswith(suffixes) and path.is_file()


def is_writable(name: str) -> bool:
    """Return whether a file can be rewritten: neither compressed nor standard input."""
    return name != STDIN and not name.endswith(COMPRESSED_SUFFIXES) and not Path(name).is_dir()


class StdinReader:
    """Standard input, recognised as NDJSON if its first two lines each contain an object."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._head = [stream.readline(limit + 1), stream.readline(limit + 1)]
        while self._head[-1] and self._head[-1].isspace() and len(self._head) < _MAX_BLANK:
            self._head.append(stream.readline(limit + 1))

    @property
    def is_ndjson(self) -> bool:
        """True if each line is a resource."""
        first, second = self._head[0].strip(), self._head[-1].strip()
        return first.startswith(b"{") and first.endswith(b"}") and second.startswith(b"{")

    def readline(self, limit: int = -1) -> bytes:
        """Return the next line, at most `limit` bytes of it; b"" at the end."""
        return self._head.pop(0) if self._head else self._stream.readline(limit)

    def read(self, limit: int) -> bytes:
        """Return the rest of the input, at most `limit` bytes from the stream."""
        head = b"".join(self._head)
        self._head = []
        return head + self._stream.read(max(limit - len(head), 0))


def read_chunks(name: str, stream: LineSource, limit: int | None = None) -> Iterator[Chunk]:
    """Yield the lines of NDJSON in chunks, with blank lines, so that line numbers are right.

    Args:
        name: the file, for the chunks.
        stream: where the lines come from.
        limit: the maximum length of a line in bytes; a longer one becomes a `JsonError`.

    """
    limit = min(limit or MAX_LINE_BYTES, MAX_LINE_BYTES)
    lines: list[bytes | JsonError] = []
    size, number = 0, 0
    while (line := _read_line(stream, limit)) is not None:
        number += 1
        lines.append(line)
        size += len(line) if isinstance(line, bytes) else 0
        if size > _CHUNK_BYTES or len(lines) >= _CHUNK_LINES:
            yield Chunk(name, number - len(lines) + 1, tuple(lines))
            lines, size = [], 0
        if isinstance(line, JsonError) and line.issues[0].code == "structure":
            break  # the stream itself is corrupt: nothing more can be read
    if lines:
        yield Chunk(name, number - len(lines) + 1, tuple(lines))


def _read_line(stream: LineSource, limit: int) -> bytes | JsonError | None:
    """Return the next line, None after the last."""
    try:
        line = read_line(stream, limit)
    except JsonError as error:
        return error
    if not line:
        return None
    if len(line) <= limit or line.endswith(b"\n"):
        return line.rstrip(b"\r\n")
    message = f"the line is longer than {limit} bytes: split it, or raise --max-bytes"
    return JsonError([Issue("fatal", "too-long", "$this", message, line=1, column=1)])
