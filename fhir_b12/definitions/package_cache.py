"""Packages on disk as they were last read, so that the next run opens them at once.

The cache is data, never code: an archive of JSON texts, named after the content it was made of. One
that was cut, changed, renamed or written by someone else is as good as none; so is a folder that
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
    """What was kept under that key; None where nothing is, or nothing one can trust."""
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
    """Keep it; where that cannot be, all is as before."""
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
    """True of a file that nobody but its owner, who is this user, could have written."""
    if not hasattr(os, "getuid"):
        return True
    return facts.st_uid == os.getuid() and not facts.st_mode & 0o022


def _remove_oldest(folder: Path) -> None:
    """Remove what was not used for longest, and what a killed run left behind."""
    kept = sorted(folder.glob("*" + SUFFIX), key=lambda each: each.stat().st_mtime, reverse=True)
    for path in kept[MAX_PACKAGES:]:
        path.unlink(missing_ok=True)
