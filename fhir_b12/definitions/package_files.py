"""The files of a package, from its `.tgz` or folder.  https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

Archives are read in memory and never extracted, so no file can be written outside the package.
Hostile archives (a decompression bomb, a million files, paths with `..`) are refused early.
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
MAX_RATIO = 100  #: unpacked to packed; of published packages below 20
_MAX_READS_AT_END = 8  #: tarfile would go on reading for a member of 1 TB
_RATIO_FROM = 64 << 20  #: unpacked bytes up to which the ratio is not checked

#: exceptions of the standard library for broken archives
_BROKEN = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError)

File = tuple[str, bytes]  #: name inside the package, content


def from_archive(path: Path, problems: list[str]) -> Iterator[File]:
    """Yield the JSON and XML files in `package/` of a `.tgz`.

    Files that are too large are added to the problems.

    Raises:
        PackageError: The archive cannot be read, is broken, or exceeds a limit.

    """
    try:
        with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as unpacked:
            reader = _BoundedReader(path, packed, unpacked)
            # a broken member is only detected when it is reached
            with tarfile.open(fileobj=reader, mode="r|", bufsize=1 << 18) as archive:  # type: ignore[call-overload]
                yield from _read_members(path, archive, problems)
    except PackageError:
        raise
    except gzip.BadGzipFile as error:
        raise PackageError(f"{path.name}: not a .tgz archive: {error}") from error
    except _BROKEN as error:
        raise PackageError(
            f"{path.name}: archive broken or truncated ({error}): download it again"
        ) from error
    except OSError as error:
        raise PackageError(f"{path.name}: cannot be read: {error.strerror or error}") from error


class _BoundedReader:
    """Reader of the unpacked bytes of a file that enforces the limits of a package."""

    def __init__(self, path: Path, packed: BinaryIO, unpacked: gzip.GzipFile) -> None:
        self._path, self._packed, self._unpacked = path, packed, unpacked
        self._total = 0
        self._reads_at_end = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next unpacked bytes.

        Raises:
            EOFError: The file ends within a member.
            PackageError: The file unpacks to too many bytes.

        """
        content = self._unpacked.read(size)
        self._total += len(content)
        self._reads_at_end += not content
        if self._reads_at_end > _MAX_READS_AT_END:
            raise EOFError("the file ends within a member")
        if self._total > MAX_TOTAL_SIZE:
            limit = f"{MAX_TOTAL_SIZE >> 30} GB"
            raise PackageError(f"{self._path.name}: unpacks to more than {limit} (limit)")
        if self._total > max(_RATIO_FROM, MAX_RATIO * self._packed.tell()):
            raise PackageError(
                f"{self._path.name}: unpacks to more than {MAX_RATIO} times its size (limit)"
            )
        return content


def _read_members(path: Path, archive: tarfile.TarFile, problems: list[str]) -> Iterator[File]:
    for number, member in enumerate(archive):
        archive.members = []  # type: ignore[attr-defined]  # tarfile would collect them all
        if number >= MAX_FILES:
            raise PackageError(f"{path.name}: contains more than {MAX_FILES:,} files (limit)")
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or "\\" in member.name:
            raise PackageError(
                f"{path.name}: the path of file {number + 1} is outside the package: remove it"
            )
        if member.issym() or member.islnk():
            raise PackageError(f"{path.name}: {name.name} is a link: replace it with a file")
        parts = [part for part in name.parts if part != "."]
        if not member.isfile() or len(parts) != 2 or parts[0] != "package":
            continue
        if not parts[1].endswith(SUFFIXES):
            continue
        if member.size > MAX_FILE_SIZE:
            problems.append(_too_large(parts[1]))
        elif content := archive.extractfile(member):
            yield parts[1], content.read(MAX_FILE_SIZE)


def _too_large(name: str) -> str:
    return f"{name}: ignored, larger than {MAX_FILE_SIZE >> 20} MB (limit)"


# --- folders


def list_folder(folder: Path) -> list[Path]:
    """Return the JSON and XML files of a package's folder, or of any folder of definitions.

    A package has a `package.json` in the folder or in its subfolder `package`, and its definitions
    beside it. Of a folder without `package.json` all subfolders are listed.
    """
    for root in (folder / "package", folder):
        if (root / "package.json").is_file():
            return [path for path in _list_files(root, deep=False) if _is_inside(path, root)]
    return [path for path in _list_files(folder, deep=True) if _is_inside(path, folder)]


def _list_files(folder: Path, *, deep: bool) -> list[Path]:
    """Return the JSON and XML files of a folder, and of its subfolders if `deep`.

    Raises:
        PackageError: The folder contains too many files.

    """
    paths: list[Path] = []
    entries = 0
    for root, folders, names in os.walk(folder):
        entries += len(names) + len(folders)
        if entries > MAX_FILES:
            raise PackageError(f"{folder.name}: contains more than {MAX_FILES:,} files (limit)")
        folders[:] = sorted(name for name in folders if deep and name[0] != ".")
        paths.extend(
            Path(root, name) for name in sorted(names) if name.endswith(SUFFIXES) and name[0] != "."
        )
    return paths


def _is_inside(path: Path, folder: Path) -> bool:
    """Return True for a regular file in a folder that is not a link to another folder."""
    try:
        return stat.S_ISREG(path.stat().st_mode) and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False


def from_files(paths: list[Path], problems: list[str]) -> Iterator[File]:
    """Yield name and content of files; those that cannot be read are added to the problems.

    Raises:
        PackageError: The files have more bytes in total than a package may have.

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
            problems.append(_too_large(path.name))
            continue
        total += size
        if total > MAX_TOTAL_SIZE:
            limit = f"{MAX_TOTAL_SIZE >> 30} GB"
            raise PackageError(f"{path.parent.name}: contains more than {limit} (limit)")
        yield path.name, content
