"""Files that only their owner may read: databases and backups hold patient data."""

import os
from pathlib import Path

_OWNER_ONLY = 0o600


def create_private_file(path: Path, *, exclusive: bool = False) -> None:
    """Create an empty file with mode 0600, whatever the umask; an existing one is emptied.

    SQLite gives the same mode to the -wal, -shm and -journal files of a database.

    Args:
        path: the file.
        exclusive: leave an existing file as it is.

    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_EXCL if exclusive else os.O_TRUNC)
    try:
        descriptor = os.open(path, flags, _OWNER_ONLY)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, _OWNER_ONLY)
    finally:
        os.close(descriptor)
