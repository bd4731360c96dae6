"""Validation of many files, and of NDJSON lines, in several processes; results come in order."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from fhir_b12.cli import input_files
from fhir_b12.cli.file_validator import FileValidator, ValidateSettings, merge_chunks
from fhir_b12.cli.streams import STDIN, UsageError, is_ndjson_name
from fhir_b12.jsonio import JsonError, open_stream
from fhir_b12.reports.file_results import FileResult

_QUEUED = 4  #: work items queued for each process, so that memory stays bounded

_validators: list[FileValidator] = []  #: the validator of this process


class _WorkItem(NamedTuple):
    name: str
    is_chunk: bool  #: some lines of an NDJSON file
    result: "Future[FileResult]"


def validate_files(
    files: Sequence[str], validator: FileValidator, jobs: int = 1
) -> Iterator[FileResult]:
    """Yield the result of each file, in the order of the files.

    Args:
        files: file names, or `-`.
        validator: the validator, which each process copies.
        jobs: the number of processes; with 1 everything runs in this process.

    Raises:
        UsageError: a process was ended from outside.

    """
    if jobs < 2 or (len(files) < 2 and not any(map(is_ndjson_name, files))):
        yield from map(validator.validate_file, files)
        return
    _validators[:] = [validator]  # a forked process inherits it and loads nothing again
    try:
        initargs = (validator.settings,)
        with ProcessPoolExecutor(jobs, initializer=_start, initargs=initargs) as pool:
            yield from _results_in_order(files, pool, validator, jobs * _QUEUED)
    except BrokenProcessPool:
        raise UsageError("a worker process was killed: try fewer --jobs") from None
    finally:
        _validators.clear()


def _start(settings: ValidateSettings) -> None:
    if not _validators:
        _validators.append(FileValidator(settings))


def _validate_file(name: str) -> FileResult:
    return _validators[0].validate_file(name)


def _validate_chunk(chunk: input_files.Chunk) -> FileResult:
    return _validators[0].validate_chunk(chunk)


def _results_in_order(
    files: Sequence[str], pool: ProcessPoolExecutor, validator: FileValidator, queue_size: int
) -> Iterator[FileResult]:
    """Submit work and yield its results in order; merge the chunks of one file."""
    queue: deque[_WorkItem] = deque()
    chunks: list[FileResult] = []
    name = ""

    def take_first() -> Iterator[FileResult]:
        nonlocal name, chunks
        item = queue.popleft()
        if chunks and (item.name != name or not item.is_chunk):
            yield merge_chunks(name, chunks)
            chunks = []
        if item.is_chunk:
            name = item.name
            chunks.append(item.result.result())
        else:
            yield item.result.result()

    for item in _work_items(files, pool, validator):
        queue.append(item)
        if len(queue) > queue_size:
            yield from take_first()
    while queue:
        yield from take_first()
    if chunks:
        yield merge_chunks(name, chunks)


def _work_items(
    files: Sequence[str], pool: ProcessPoolExecutor, validator: FileValidator
) -> Iterator[_WorkItem]:
    """Submit each file, and each chunk of NDJSON, to the pool."""
    for name in files:
        if name == STDIN:  # another process cannot read it
            yield _WorkItem(name, is_chunk=False, result=_completed(validator.validate_file(name)))
            continue
        if not is_ndjson_name(name):
            yield _WorkItem(name, is_chunk=False, result=pool.submit(_validate_file, name))
            continue
        try:
            with open_stream(name) as stream:
                empty = True
                for chunk in input_files.read_chunks(name, stream, validator.settings.max_bytes):
                    empty = False
                    result = pool.submit(_validate_chunk, chunk)
                    yield _WorkItem(name, is_chunk=True, result=result)
            if empty:
                result = _completed(merge_chunks(name, ()))
                yield _WorkItem(name, is_chunk=False, result=result)
        except (OSError, JsonError):
            yield _WorkItem(name, is_chunk=False, result=_completed(validator.validate_file(name)))


def _completed(result: FileResult) -> "Future[FileResult]":
    future: Future[FileResult] = Future()
    future.set_result(result)
    return future
