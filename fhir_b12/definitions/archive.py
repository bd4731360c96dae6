"""Archive of many definitions in one gzip file, each readable without unpacking the others.

The file is a sequence of gzip members. The first is the index of the others, each of which has the
JSON text of one or more resources. R4's own definitions in the wheel and packages in the cache have
this format: nothing in it is executed, and damage is reported.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from fhir_b12.caching import known_to_msgspec

T = TypeVar("T")

_GZIP = 31  #: zlib's wbits for a gzip header
_INDEX_CAP = 64 << 20  #: bytes of an unpacked index


class ArchiveError(ValueError):
    """A file that `pack` did not write, or that was changed since."""


class ArchiveEntry(msgspec.Struct, frozen=True, array_like=True):
    """Index entry of one resource: what it is and its position."""

    resource_type: str  #: "StructureDefinition"
    url: str
    version: str
    file_name: str  #: name of its file in the package, "" if it has none
    member: int
    start: int
    end: int


class _Index(msgspec.Struct, frozen=True):
    entries: tuple[ArchiveEntry, ...]
    sizes: tuple[int, ...]  #: packed bytes of each member
    lengths: tuple[int, ...]  #: the same, unpacked
    digest: str  #: SHA-256 of all that follows the index
    about: msgspec.Raw = msgspec.Raw(b"null")


class ArchiveSource(msgspec.Struct, frozen=True):
    """A resource to pack: its JSON text, type, url and version."""

    resource_type: str
    url: str
    version: str
    text: bytes
    file_name: str = ""


def pack(
    sources: Iterable[ArchiveSource], *, about: Any = None, chunk: int = 0, level: int = 9
) -> bytes:
    """Pack resources into an archive; the same resources give the same bytes.

    Args:
        sources: The resources.
        about: A description of the whole, encoded as JSON in the index.
        chunk: Bytes of JSON in one member; small resources share one, which compresses better.
        level: Compression level of gzip.

    """
    entries: list[ArchiveEntry] = []
    members: list[bytes] = []
    lengths: list[int] = []
    for group in _grouped(sources, chunk):
        start = 0
        for source in group:
            end = start + len(source.text)
            row = ArchiveEntry(
                source.resource_type,
                source.url,
                source.version,
                source.file_name,
                len(members),
                start,
                end,
            )
            entries.append(row)
            start = end
        text = b"".join(source.text for source in group)
        members.append(gzip.compress(text, compresslevel=level, mtime=0))
        lengths.append(len(text))
    body = b"".join(members)
    index = _Index(
        entries=tuple(entries),
        sizes=tuple(map(len, members)),
        lengths=tuple(lengths),
        digest=hashlib.sha256(body).hexdigest(),
        about=msgspec.Raw(msgspec.json.encode(about)),
    )
    return gzip.compress(msgspec.json.encode(index), compresslevel=level, mtime=0) + body


def _grouped(sources: Iterable[ArchiveSource], chunk: int) -> Iterator[list[ArchiveSource]]:
    group: list[ArchiveSource] = []
    size = 0
    for source in sources:
        group.append(source)
        size += len(source.text)
        if size >= chunk:
            yield group
            group, size = [], 0
    if group:
        yield group


class Archive:
    """An archive written by `pack`.

    Raises:
        ArchiveError: It is another file, or with `verify` one that was changed or truncated.

    """

    def __init__(self, content: bytes, *, verify: bool = False) -> None:
        """Read the index; with `verify`, check the digest of all other content."""
        inflate = zlib.decompressobj(_GZIP)
        try:
            text = inflate.decompress(content, _INDEX_CAP)
            index = msgspec.json.decode(text, type=known_to_msgspec(_Index))
        except (zlib.error, msgspec.MsgspecError) as error:
            raise ArchiveError(f"the index cannot be read: {error}") from error
        self._body = inflate.unused_data
        if verify and hashlib.sha256(self._body).hexdigest() != index.digest:
            raise ArchiveError("the content was changed since it was written")
        self.entries = index.entries
        self._index = index
        self._starts = [0]
        for size in index.sizes:
            self._starts.append(self._starts[-1] + size)
        #: number and text of the member read last; threads replace it, but never change it
        self._last: tuple[int, bytes] = (-1, b"")

    def about(self, data_type: type[T]) -> T:
        """Return the `about` value given to `pack`, decoded as a type.

        Raises:
            ArchiveError: The value is not of that type.

        """
        try:
            return msgspec.json.decode(self._index.about, type=known_to_msgspec(data_type))
        except msgspec.MsgspecError as error:
            raise ArchiveError(f"the description in the index cannot be read: {error}") from error

    def text(self, entry: ArchiveEntry) -> bytes:
        """Return the JSON text of one resource.

        Raises:
            ArchiveError: The content is damaged.

        """
        try:
            return self._member(entry.member)[entry.start : entry.end]
        except (zlib.error, IndexError) as error:
            raise ArchiveError(f"{entry.url} cannot be read: {error}") from error

    def _member(self, number: int) -> bytes:
        last_number, text = self._last
        if last_number != number:
            packed = self._body[self._starts[number] : self._starts[number + 1]]
            length = self._index.lengths[number]
            # never more than the indexed length, so that no file can be a decompression bomb
            text = zlib.decompressobj(_GZIP).decompress(packed, length or 1)
            self._last = (number, text)
        return text
