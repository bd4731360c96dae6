"""The files of a package, from its `.tgz` or folder.  https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

Nothing is ever written where an archive says, so nothing can escape; and what nobody could have
meant (a bomb, a million files, names that climb out) is refused before it costs much.
"""

import gzip
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from fhir_b12.definitions.errors import PackageError

SUFFIXES = (".json", ".xml")
MAX_FILES = 100_000  #: more files than any published package has
MAX_TOTAL_SIZE = 2 << 30  #: unpacked bytes of a package
MAX_FILE_SIZE = 64 << 20  #: bytes of one file
MAX_RATIO = 100  #: unpacked to packed; those of published packages are below 20
_ENDS = 8  #: times the end is met, else a file that says it is endless is looked for that long
_RATIO_FROM = 64 << 20  #: unpacked bytes up to which the ratio says nothing

#: whatever a broken archive makes the standard library raise
_BROKEN = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError)

File = tuple[str, bytes]  #: name inside the package, content


def from_archive(path: Path, problems: list[str]) -> Iterator[File]:
    """The JSON and XML files in `package/` of a `.tgz`; what is left out is added to the problems.

    Raises:
        PackageError: it is no such archive, or one that nobody could have meant.

    """
    try:
        with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as unpacked:
            reader = _BoundedReader(path, packed, unpacked)
            # each part is known to be broken only when it is reached
            with tarfile.open(fileobj=reader, mode="r|", bufsize=1 << 18) as archive:  # type: ignore[call-overload]
                yield from _members(path, archive, problems)
    except PackageError:
        raise
    except gzip.BadGzipFile as error:
        raise PackageError(f"{path.name}: not a .tgz: {error}") from error
    except _BROKEN as error:
        raise PackageError(f"{path.name}: the archive is broken or cut off: {error}") from error
    except OSError as error:
        raise PackageError(f"{path.name}: cannot be read: {error.strerror or error}") from error


class _BoundedReader:
    """The unpacked bytes of a file, up to what a package may hold."""

    def __init__(self, path: Path, packed: BinaryIO, unpacked: gzip.GzipFile) -> None:
        self._path, self._pack_definitions, self._unpacked = path, packed, unpacked
        self._total = 0
        self._ends = 0

    def read(self, size: int = -1) -> bytes:
        found = self._unpacked.read(size)
        self._total += len(found)
        self._ends += not found
        if self._ends > _ENDS:
            raise EOFError("it ends before its last file does")
        if self._total > MAX_TOTAL_SIZE:
            raise PackageError(f"{self._path.name}: holds more than {MAX_TOTAL_SIZE >> 30} GB")
        if self._total > max(_RATIO_FROM, MAX_RATIO * self._pack_definitions.tell()):
            raise PackageError(
                f"{self._path.name}: unpacks to {MAX_RATIO} times its size, as no package does"
            )
        return found


def _members(path: Path, archive: tarfile.TarFile, problems: list[str]) -> Iterator[File]:
    for number, member in enumerate(archive):
        archive.members = []  # type: ignore[attr-defined]  # else it keeps each of them
        if number >= MAX_FILES:
            raise PackageError(f"{path.name}: holds more than {MAX_FILES:,} files")
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or "\\" in member.name:
            raise PackageError(
                f"{path.name}: the name of file {number + 1} leads out of the package"
            )
        if member.issym() or member.islnk():
            raise PackageError(f"{path.name}: {name.name} is a link; a package holds files only")
        parts = [part for part in name.parts if part != "."]
        if not member.isfile() or len(parts) != 2 or parts[0] != "package":
            continue
        if not parts[1].endswith(SUFFIXES):
            continue
        if member.size > MAX_FILE_SIZE:
            problems.append(f"{parts[1]}: larger than {MAX_FILE_SIZE >> 20} MB, left out")
        elif content := archive.extractfile(member):
            yield parts[1], content.read(MAX_FILE_SIZE)


# --- folders


def list_folder(folder: Path) -> list[Path]:
    """The JSON and XML files of a package's folder, or of any folder of definitions.

    A package has a `package.json`, beside its definitions or one `package/` above; of other
    folders everything below counts.

    Raises:
        PackageError: the folder cannot be read or holds too many files.

    """
    for root in (folder / "package", folder):
        if (root / "package.json").is_file():
            return [each for each in _listed(root, deep=False) if _is_inside(each, root)]
    return [each for each in _listed(folder, deep=True) if _is_inside(each, folder)]


def _listed(folder: Path, *, deep: bool) -> list[Path]:
    found: list[Path] = []
    entries = 0
    for root, folders, names in os.walk(folder):
        entries += len(names) + len(folders)
        if entries > MAX_FILES:
            raise PackageError(f"{folder.name}: holds more than {MAX_FILES:,} files")
        folders[:] = sorted(each for each in folders if deep and each[0] != ".")
        wanted = (each for each in sorted(names) if each.endswith(SUFFIXES))
        found.extend(Path(root, each) for each in wanted if each[0] != ".")
    return found


def _is_inside(path: Path, folder: Path) -> bool:
    """True of a regular file that no link takes elsewhere."""
    try:
        return stat.S_ISREG(path.stat().st_mode) and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False


def from_files(paths: list[Path], problems: list[str]) -> Iterator[File]:
    """The content of the files; those that cannot be read are added to the problems.

    Raises:
        PackageError: they hold too much.

    """
    total = 0
    for path in paths:
        try:
            size = path.stat().st_size
            content = path.read_bytes() if size <= MAX_FILE_SIZE else b""
        except OSError as error:
            problems.append(f"{path.name}: cannot be read: {error.strerror or error}")
            continue
        if size > MAX_FILE_SIZE:
            problems.append(f"{path.name}: larger than {MAX_FILE_SIZE >> 20} MB, left out")
            continue
        total += size
        if total > MAX_TOTAL_SIZE:
            raise PackageError(f"{path.parent.name}: holds more than {MAX_TOTAL_SIZE >> 30} GB")
        yield path.name, content
