"""Many files, and the lines of NDJSON, over several processes; the results come in order."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from fhir_b12.cli import input_files
from fhir_b12.cli.file_validator import Checker, Settings, joined
from fhir_b12.cli.streams import UsageError
from fhir_b12.jsonio import JsonError, open_stream
from fhir_b12.reports.file_results import Checked

_AHEAD = 4  #: pieces of work for each process that wait, so that memory stays bounded

_checkers: list[Checker] = []  #: that of this process


class _Piece(NamedTuple):
    name: str
    is_chunk: bool
    result: "Future[Checked]"


def check(files: Sequence[str], checker: Checker, jobs: int = 1) -> Iterator[Checked]:
    """Each file's result, in the order of the files."""
    if jobs < 2 or (len(files) < 2 and not any(map(input_files.has_lines, files))):
        yield from map(checker.file, files)
        return
    _checkers[:] = [checker]  # a forked process finds it there and loads nothing again
    try:
        with ProcessPoolExecutor(jobs, initializer=_start, initargs=(checker.settings,)) as pool:
            yield from _in_order(files, pool, checker, jobs * _AHEAD)
    except BrokenProcessPool:
        raise UsageError("a process was ended from outside; try fewer --jobs") from None
    finally:
        _checkers.clear()


def _start(settings: Settings) -> None:
    if not _checkers:
        _checkers.append(Checker(settings))


def _file(name: str) -> Checked:
    return _checkers[0].file(name)


def _lines(chunk: input_files.Chunk) -> Checked:
    return _checkers[0].lines(chunk)


def _in_order(
    files: Sequence[str], pool: ProcessPoolExecutor, checker: Checker, ahead: int
) -> Iterator[Checked]:
    """The pieces are handed out and taken back in order; those of one file are put together."""
    waiting: deque[_Piece] = deque()
    held: list[Checked] = []
    name = ""

    def taken() -> Iterator[Checked]:
        nonlocal name, held
        piece = waiting.popleft()
        if held and (piece.name != name or not piece.is_chunk):
            yield joined(name, held)
            held = []
        if piece.is_chunk:
            name = piece.name
            held.append(piece.result.result())
        else:
            yield piece.result.result()

    for piece in _pieces(files, pool, checker):
        waiting.append(piece)
        if len(waiting) > ahead:
            yield from taken()
    while waiting:
        yield from taken()
    if held:
        yield joined(name, held)


def _pieces(files: Sequence[str], pool: ProcessPoolExecutor, checker: Checker) -> Iterator[_Piece]:
    for name in files:
        if not input_files.has_lines(name) or name == input_files.STDIN:
            here = name == input_files.STDIN  # another process cannot read it
            done = _done(checker.file(name)) if here else pool.submit(_file, name)
            yield _Piece(name, is_chunk=False, result=done)
            continue
        try:
            with open_stream(name) as stream:
                empty = True
                for chunk in input_files.chunks(name, stream, checker.settings.max_bytes):
                    empty = False
                    yield _Piece(name, is_chunk=True, result=pool.submit(_lines, chunk))
            if empty:
                yield _Piece(name, is_chunk=False, result=_done(joined(name, ())))
        except (OSError, JsonError):
            yield _Piece(name, is_chunk=False, result=_done(checker.file(name)))


def _done(result: Checked) -> "Future[Checked]":
    future: Future[Checked] = Future()
    future.set_result(result)
    return future
