"""Cache of opened packages on disk, so that the next run opens them quickly.

The cache holds data, never code: archives of JSON texts, named by a hash of their source. A file
that was truncated, changed, renamed or written by another user is ignored; so is a folder that
cannot be written.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from fhir_b12.definitions.archive import Archive, ArchiveError

SUFFIX = ".json.gz"
MAX_PACKAGES = 64  #: packages, the last used
_CAP = 512 << 20  #: bytes of one file


def read(folder: Path | None, key: str) -> Archive | None:
    """Return the archive stored under a key, None if it is missing or not trustworthy."""
    if folder is None:
        return None
    path = folder / (key + SUFFIX)
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_size > _CAP or not _is_ours(facts):
                return None
            content = file.read()
        archive = Archive(content, verify=True)
    except (OSError, ArchiveError):
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return archive


def write(folder: Path | None, key: str, content: bytes) -> None:
    """Store an archive under a key; do nothing if the folder cannot be written."""
    if folder is None or len(content) > _CAP:
        return
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".new")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(folder / (key + SUFFIX))
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _remove_oldest(folder)


def _is_ours(facts: os.stat_result) -> bool:
    """Return True for a file that only this user could have written."""
    if not hasattr(os, "getuid"):
        return True
    return facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _remove_oldest(folder: Path) -> None:
    """Remove the least recently used archives."""
    paths = sorted(folder.glob("*" + SUFFIX), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in paths[MAX_PACKAGES:]:
        path.unlink(missing_ok=True)
