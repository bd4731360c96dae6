"""Input and output of all commands: JSON and NDJSON, files and standard streams, issues, tables."""

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
from fhir_b12.printable import printable

T = TypeVar("T")
Row = Sequence[object]
STDIN = "-"
NDJSON_SUFFIXES = (".ndjson", ".jsonl")
COMPRESSED_SUFFIXES = (".gz", ".bz2")
_BLOCK = 1024**2  #: bytes read at a time


class UsageError(Exception):
    """A command that cannot be carried out as given; the exit code is 2."""


class IssuePrinter:
    """Printer of issues on standard error; `exit_code` is 1 as soon as one is an error."""

    exit_code = 0

    def report(self, issues: Iterable[Issue], line: int | None = None) -> None:
        """Print issues.

        Args:
            issues: the issues, which are printed one a line.
            line: the number of the NDJSON line they belong to, if any.

        """
        for issue in issues:
            located = issue
            if line is not None:
                located = msgspec.structs.replace(issue, line=line, column=issue.column or 1)
            sys.stderr.write(f"{printable(str(located))}\n")
            if issue.is_error:
                self.exit_code = 1

    def report_unmapped(self, counts: Mapping[str, int]) -> None:
        """Print how many resources no mapping table reads, by resource type."""
        if counts:
            message = (
                f"no mapping table reads {format_type_counts(counts)}: "
                "`ledger` lists them, `update` preserves them"
            )
            self.report([Issue("information", "not-supported", "$this", message)])


def format_type_counts(counts: Mapping[str, int]) -> str:
    """Return `24 VitalSign, 11 LabResult`, the most frequent type first."""
    return ", ".join(f"{n:,} {type_name}" for type_name, n in Counter(counts).most_common())


def without_compression(name: str) -> str:
    """Return a file name without `.gz` or `.bz2`."""
    return name[: -len(Path(name).suffix)] if name.endswith(COMPRESSED_SUFFIXES) else name


def is_ndjson_name(name: str) -> bool:
    """Return whether a file name ends in .ndjson or .jsonl, also with .gz or .bz2 after it."""
    return without_compression(name).endswith(NDJSON_SUFFIXES)


def is_ndjson(path: str, output_format: str | None) -> bool:
    """Return whether an input is NDJSON: by its name; standard input by the output format."""
    return output_format == "ndjson" if path == STDIN else is_ndjson_name(path)


def read_file(path: str, limit: int) -> bytes:
    """Return the text of a file, unpacked; one byte more than the limit if it is longer."""
    with open_stream(path) as stream:
        text = bytearray()
        while len(text) <= limit and (block := stream.read(_BLOCK)):
            text += block
    return bytes(text[: limit + 1])


def read_json(path: str, max_bytes: int | None = None) -> Any:
    """Return the value of a JSON file or of standard input (`-`).

    Args:
        path: a file, unpacked if it is gzip or bzip2, or `-`.
        max_bytes: the maximum size of the text; the default is that of the JSON reader.

    Raises:
        JsonError: the text is longer or not valid JSON.
        OSError: the file cannot be read.

    """
    limit = MAX_BYTES if max_bytes is None else max_bytes
    return loads(read_file(path, limit), max_bytes=limit)


def read_ndjson(
    path: str, printer: IssuePrinter, max_bytes: int | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield line number and value of each valid line of NDJSON; report the others."""
    limit = MAX_LINE_BYTES if max_bytes is None else min(max_bytes, sys.maxsize - 1)
    with open_stream(path) as stream:
        for number, value in _with_progress(read_lines(stream, max_line_bytes=limit)):
            if isinstance(value, JsonError):
                printer.report(value.issues)
            else:
                yield number, value


def _with_progress(lines: Iterator[T]) -> Iterator[T]:
    """Yield the lines; show progress if standard error is a terminal."""
    if not sys.stderr.isatty():
        return lines
    from fhir_b12.cli.terminal import with_progress  # noqa: PLC0415 - rich is slow to load

    return with_progress(lines)


def is_device(path: str) -> bool:
    """Return whether a path is a device or pipe: it can be written to but not replaced."""
    file = Path(path)
    return file.exists() and not file.is_file() and not file.is_dir()


@contextmanager
def open_output(output: str | None) -> Iterator[BinaryIO]:
    """Open standard output or a file for writing.

    A file is written beside its place and renamed when complete, so an error leaves an existing
    file unchanged. A file named .gz or .bz2 is compressed.

    Args:
        output: a file name; None or `-` for standard output.

    Raises:
        UsageError: the name is a folder.

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
        raise UsageError(f"{output} is a folder: give the name of a file")
    part = path.with_name(f"{path.name}.part")
    open_part: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    try:
        with open_part(part, "wb") as stream:
            yield stream
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(content: bytes, output: str | None) -> None:
    """Write a text and a line break to a file or to standard output."""
    with open_output(output) as stream:
        stream.write(content)
        stream.write(b"\n")


def is_terminal(output: str | None) -> bool:
    """Return whether an output is a terminal, where tables are drawn."""
    return output is None and sys.stdout.isatty()


def write_table(
    heads: Sequence[str], rows: Iterable[Row], output: str | None, title: str = ""
) -> None:
    """Draw a table on a terminal; elsewhere write tab-separated lines, the heads first."""
    cells = (["" if cell is None else printable(str(cell)) for cell in row] for row in rows)
    if is_terminal(output):
        from fhir_b12.cli.terminal import draw_table  # noqa: PLC0415 - rich is slow to load

        draw_table(heads, cells, title)
        return
    with open_output(output) as stream:
        stream.writelines(("\t".join(row) + "\n").encode() for row in chain([heads], cells))


def write_rows(
    heads: Sequence[str], rows: Iterable[Row], output_format: str, output: str | None
) -> None:
    """Write rows as text (a table), json (a list of objects) or ndjson (an object a line)."""
    if output_format == "text":
        write_table(heads, rows, output)
        return
    objects = (
        {head: cell for head, cell in zip(heads, row, strict=True) if cell is not None}
        for row in rows
    )
    if output_format == "json":
        write_bytes(dumps(list(objects), indent=2), output)
        return
    with open_output(output) as stream:
        stream.writelines(dumps(value) + b"\n" for value in objects)
