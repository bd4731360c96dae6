"""`--watch`: poll the files and report which have changed."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PAUSE = 0.5  #: seconds between two polls

_FileState = tuple[int, int] | None  #: modification time in ns and size; None if missing


def changes(
    list_files: Callable[[], Sequence[str]], wait: Callable[[float], None] = time.sleep
) -> Iterator[list[str]]:
    """Yield the names of the files that changed, were added or were removed; never ends.

    Args:
        list_files: function that returns the files that exist now.
        wait: function that waits for a number of seconds.

    """
    states = {name: _file_state(name) for name in list_files()}
    while True:
        wait(PAUSE)
        current = {name: _file_state(name) for name in list_files()}
        changed = [name for name, state in current.items() if states.get(name) != state]
        changed += [name for name in states if name not in current]
        states = current
        if changed:
            yield changed


def _file_state(name: str) -> _FileState:
    try:
        status = Path(name).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
