"""Many definitions in one gzip file, each read without unpacking the others.

The file is a row of gzip members. The first is the index: what the others hold, and where. Each of
the others is the JSON text of one or more resources. So R4's own definitions travel in the wheel,
and packages lie in the cache: nothing in it is executed, and whatever is damaged is told.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from fhir_b12.caching import known_to_msgspec

_GZIP = 31  #: zlib's wbits for a gzip header
_INDEX_CAP = 64 << 20  #: bytes of an unpacked index


class ArchiveError(ValueError):
    """The file is not what `pack` wrote."""


class ArchiveEntry(msgspec.Struct, frozen=True, array_like=True):
    """One resource and where it stands."""

    kind: str  #: "StructureDefinition"
    url: str
    version: str
    place: str  #: the file it came from, "" where that says nothing
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
    """A resource to be packed: its JSON text, and what it is found by."""

    kind: str
    url: str
    version: str
    text: bytes
    place: str = ""


def pack(
    sources: Iterable[ArchiveSource], *, about: Any = None, chunk: int = 0, level: int = 9
) -> bytes:
    """The file of these resources: the same bytes each time.

    Small resources share a member of about `chunk` bytes, for together they take less room.
    """
    entries: list[ArchiveEntry] = []
    members: list[bytes] = []
    lengths: list[int] = []
    for group in _grouped(sources, chunk):
        start = 0
        for each in group:
            end = start + len(each.text)
            row = ArchiveEntry(
                each.kind, each.url, each.version, each.place, len(members), start, end
            )
            entries.append(row)
            start = end
        text = b"".join(each.text for each in group)
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
    for each in sources:
        group.append(each)
        size += len(each.text)
        if size >= chunk:
            yield group
            group, size = [], 0
    if group:
        yield group


class Archive:
    """A file that `pack` wrote.

    Raises:
        ArchiveError: it is another file, or with `verify` one that was changed or cut.

    """

    def __init__(self, content: bytes, *, verify: bool = False) -> None:
        """Read the index; with `verify`, look whether all the rest is as it was written."""
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
        self._last: tuple[int, bytes] = (-1, b"")

    def about(self, kind: Any) -> Any:
        """What `pack` was told of the whole, read as that type."""
        try:
            return msgspec.json.decode(self._index.about, type=known_to_msgspec(kind))
        except msgspec.MsgspecError as error:
            raise ArchiveError(f"what the index says of the whole: {error}") from error

    def text(self, entry: ArchiveEntry) -> bytes:
        """The JSON text of one resource."""
        try:
            return self._member(entry.member)[entry.start : entry.end]
        except (zlib.error, IndexError) as error:
            raise ArchiveError(f"{entry.url} cannot be read: {error}") from error

    def _member(self, number: int) -> bytes:
        if self._last[0] != number:
            packed = self._body[self._starts[number] : self._starts[number + 1]]
            length = self._index.lengths[number]
            # never more than the index promises, so that no file can be a bomb
            self._last = (number, zlib.decompressobj(_GZIP).decompress(packed, length or 1))
        return self._last[1]
