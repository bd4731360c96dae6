"""What comes in and what goes out: JSON and NDJSON, files and standard streams, issues."""

import bz2
import gzip
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from fhir_b12.issues import Issue
from fhir_b12.jsonio import (
    MAX_BYTES,
    MAX_LINE_BYTES,
    JsonError,
    dumps,
    loads,
    open_stream,
    read_lines,
)

T = TypeVar("T")
Row = Sequence[object]
_PART = 1024**2  #: bytes read at a time
_LINES = (".ndjson", ".ndjson.gz", ".ndjson.bz2")


class UsageError(Exception):
    """What was asked cannot be done as it was asked."""


class Findings:
    """Issues, told on standard error as they come; `code` is the exit code they make."""

    code = 0

    def tell(self, issues: Iterable[Issue], line: int | None = None) -> None:
        """Say each issue, in a line of NDJSON with its number."""
        for issue in issues:
            if line is not None:
                issue = msgspec.structs.replace(issue, line=line, column=issue.column or 1)  # noqa: PLW2901 - the same issue, placed
            sys.stderr.write(f"{printable(str(issue))}\n")
            if issue.is_error:
                self.code = 1

    def unread(self, kinds: Mapping[str, int]) -> None:
        """Say what no table reads, by type of resource."""
        if kinds:
            what = f"no table reads {counted(kinds)}; `ledger` lists them, `update` keeps them"
            self.tell([Issue("information", "not-supported", "$this", what)])


def counted(kinds: Mapping[str, int]) -> str:
    """`24 VitalSign, 11 LabResult`, the most frequent first."""
    return ", ".join(f"{n:,} {kind}" for kind, n in Counter(kinds).most_common())


def has_lines(path: str, form: str | None) -> bool:
    """True where a path holds NDJSON: by its name, for standard input by the format asked for."""
    return form == "ndjson" if path == "-" else path.endswith(_LINES)


def read(path: str, max_bytes: int | None = None) -> Any:
    """The value of a JSON file or of standard input (`-`)."""
    limit = MAX_BYTES if max_bytes is None else max_bytes
    with open_stream(path) as stream:
        text = bytearray()
        while len(text) <= limit and (part := stream.read(_PART)):
            text += part
    return loads(text, max_bytes=limit)


def lines(path: str, findings: Findings, max_bytes: int | None = None) -> Iterator[tuple[int, Any]]:
    """Number and value of each line of NDJSON; a bad line is told and passed over."""
    limit = MAX_LINE_BYTES if max_bytes is None else min(max_bytes, sys.maxsize - 1)
    with open_stream(path) as stream:
        for number, value in _watched(read_lines(stream, max_line_bytes=limit)):
            if isinstance(value, JsonError):
                findings.tell(value.issues)
            else:
                yield number, value


def _watched(found: Iterator[T]) -> Iterator[T]:
    """The same; a terminal shows how many went by."""
    if not sys.stderr.isatty():
        return found
    from fhir_b12.cli.terminal import watched  # noqa: PLC0415 - rich is slow to load

    return watched(found)


def is_device(path: str) -> bool:
    """True for what can be written to but not replaced: a device or a pipe."""
    place = Path(path)
    return place.exists() and not place.is_file() and not place.is_dir()


@contextmanager
def sink(output: str | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that takes its name only when all of it is written.

    A file named .gz or .bz2 is packed.
    """
    if output is None or output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if is_device(output):
        with path.open("wb") as stream:
            yield stream
        return
    if path.is_dir():
        raise UsageError(f"{output} is a folder: name a file")
    part = path.with_name(f"{path.name}.part")
    pack: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    try:
        with pack(part, "wb") as stream:
            yield stream
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write(content: bytes, output: str | None) -> None:
    """Write a text and end its line."""
    with sink(output) as stream:
        stream.write(content)
        stream.write(b"\n")


def printable(text: str) -> str:
    """A text without line breaks, tabs and control characters: data never steers a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_drawn(output: str | None) -> bool:
    """True where a table goes to a terminal."""
    return output is None and sys.stdout.isatty()


def show(heads: Sequence[str], rows: Iterable[Row], output: str | None, title: str = "") -> None:
    """A table: drawn on a terminal, tab-separated lines with one of heads elsewhere."""
    cells = (["" if each is None else printable(str(each)) for each in row] for row in rows)
    if is_drawn(output):
        from fhir_b12.cli.terminal import draw  # noqa: PLC0415 - rich is slow to load

        draw(heads, cells, title)
        return
    with sink(output) as stream:
        stream.writelines(("\t".join(row) + "\n").encode() for row in chain([heads], cells))


def deliver(heads: Sequence[str], rows: Iterable[Row], form: str, output: str | None) -> None:
    """Rows in the form asked for: a table, a list of objects, or an object a line."""
    if form == "text":
        show(heads, rows, output)
        return
    objects = (
        {head: value for head, value in zip(heads, row, strict=True) if value is not None}
        for row in rows
    )
    if form == "json":
        write(dumps(list(objects), indent=2), output)
        return
    with sink(output) as stream:
        stream.writelines(dumps(each) + b"\n" for each in objects)
