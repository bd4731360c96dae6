"""`--watch`: look at the files again and again, and say which have changed."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PAUSE = 0.5  #: seconds between two looks

_Mark = tuple[int, int] | None  #: when it was changed and how long it is; None where it is gone


def changes(
    files: Callable[[], Sequence[str]], wait: Callable[[float], None] = time.sleep
) -> Iterator[list[str]]:
    """The files that changed since the last look, each time that some did; without end."""
    known = {name: _mark(name) for name in files()}
    while True:
        wait(PAUSE)
        now = {name: _mark(name) for name in files()}
        changed = [name for name, mark in now.items() if known.get(name) != mark]
        changed += [name for name in known if name not in now]
        known = now
        if changed:
            yield changed


def _mark(name: str) -> _Mark:
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
