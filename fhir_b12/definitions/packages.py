"""FHIR packages: US Core, IPS, national guides, one's own.  https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

A package is a `.tgz`, a folder, or a name in `~/.fhir/packages` where FHIR tools keep them. Opening
one reads what its files are called by; a definition is read when it is asked for.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.caching import known_to_msgspec
from fhir_b12.definitions import from_xml, package_cache, package_files
from fhir_b12.definitions.archive import Archive, ArchiveError, ArchiveSource, pack
from fhir_b12.definitions.errors import PackageError

_encode = msgspec.json.Encoder(decimal_format="number").encode

CORE = "hl7.fhir.r4.core"  #: always there
_FORMAT = "2"  #: changes when what is kept in the cache does
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:#(?P<version>[\w.+-]+))?", re.ASCII)


class PackageFolders(msgspec.Struct, frozen=True):
    """Where packages are looked for, and where they are kept once read; None: nowhere."""

    packages: Path | None = None
    cache: Path | None = None


def default_folders() -> PackageFolders:
    """`~/.fhir/packages`, and `fhir-b12/packages` in the user's cache folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return PackageFolders()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return PackageFolders(home / ".fhir" / "packages", caches / "fhir-b12" / "packages")


class Manifest(msgspec.Struct, frozen=True):
    """What `package.json` says."""

    name: str
    version: str = ""
    dependencies: dict[str, str] = {}
    fhir_versions: list[str] = msgspec.field(name="fhirVersions", default_factory=list)


class _About(msgspec.Struct, frozen=True):
    key: str
    name: str
    version: str
    dependencies: dict[str, str]
    problems: tuple[str, ...]


class Package:
    """An opened package: what it is called, what it needs, and its archive of definitions."""

    def __init__(self, archive: Archive, place: Path | None, folders: PackageFolders) -> None:
        """`place` is the folder beside it, where its dependencies may lie."""
        about: _About = archive.about(_About)
        self.archive = archive
        self.name = about.name
        self.version = about.version
        self.dependencies: Mapping[str, str] = about.dependencies
        self.problems = tuple(f"{self}: {each}" for each in about.problems)
        self.place = place
        self.folders = folders

    def __str__(self) -> str:
        """`hl7.fhir.us.core#6.1.0`"""
        return f"{self.name}#{self.version}" if self.version else self.name


def open_package(source: str | Path, folders: PackageFolders | None = None) -> Package:
    """A package from a `.tgz`, a folder, one definition's file, or by its `name#version` or name.

    A bare name is its newest version. `folders` are the user's own unless given.

    Raises:
        PackageError: there is none, or it cannot be read; the message says why.

    """
    folders = default_folders() if folders is None else folders
    path = Path(source)
    if not str(source):
        raise PackageError("a package needs a name; none is given")
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise PackageError(f"no package is called so: {error}") from error
    if not (is_folder or is_file):
        path = _find_by_name(str(source), folders)
        is_folder = path.is_dir()
    read = _from_folder if is_folder else _from_file
    return read(path, folders)


def of_resources(name: str, resources: Iterable[Mapping[str, Any]]) -> Package:
    """A package of definitions at hand.

    Raises:
        PackageError: one has no resourceType or no url.

    """
    problems: list[str] = []
    files = ((f"resource {number}", _encode(each)) for number, each in enumerate(resources))
    content = _pack_definitions("", name, files, problems)
    if problems:
        raise PackageError(f"{name}: " + "; ".join(problems))
    return Package(Archive(content), None, PackageFolders())


# --- by name


def _find_by_name(source: str, folders: PackageFolders) -> Path:
    """Where the package of that name lies."""
    parts = _NAME.fullmatch(source)
    if parts is None:
        raise PackageError(f"{source}: there is no such file or folder")
    found = find_package(parts["name"], parts["version"] or "", (folders.packages,))
    if found is None:
        where = (
            f"in {folders.packages}" if folders.packages else "for there is no folder of packages"
        )
        raise PackageError(
            f"{source}: there is no such file or folder, and no such package {where}"
        )
    return found


def find_package(name: str, version: str, places: Iterable[Path | None]) -> Path | None:
    """The newest package of that name and version; of `6.1.x` and `` the newest that fits.

    It is a folder `name#version`, or an archive `name#version.tgz` or `name-version.tgz`.
    """
    if not _NAME.fullmatch(name):
        return None
    found: dict[str, Path] = {}
    for place in filter(None, places):
        for path, here in _versions(name, place):
            if _version_satisfies(here, version):
                found.setdefault(here, path)
    return found[max(found, key=version_key)] if found else None


def _versions(name: str, place: Path) -> Iterator[tuple[Path, str]]:
    try:
        paths = sorted(place.glob(f"{name}[#-]*"))
    except OSError:
        return
    for path in paths:
        rest = path.name[len(name) + 1 :]
        if path.name[len(name)] == "#" and path.is_dir():
            yield path, rest
        elif rest.endswith(".tgz") and rest[0].isdigit() and path.is_file():
            yield path, rest.removesuffix(".tgz")


def _version_satisfies(version: str, wanted: str) -> bool:
    if wanted in {"", "latest", "*"}:
        return True
    stem, _, last = wanted.rpartition(".")
    return version == wanted or (last in {"x", "*"} and version.startswith(stem + "."))


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """A version by which newer ones are greater: 6.1.0 > 6.1.0-ballot > 6.0.10 > 6.0.9."""
    release, _, label = version.partition("-")
    parts = [(int(each), "") if each.isdecimal() else (-1, each) for each in release.split(".")]
    return (*parts, (-2, label) if label else (-1, ""))


# --- opening


def _from_file(path: Path, folders: PackageFolders) -> Package:
    """A `.tgz`, or the JSON file of one definition."""
    try:
        with path.open("rb") as file:
            key = _key(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise PackageError(f"{path.name}: cannot be read: {error.strerror or error}") from error
    problems: list[str] = []
    if path.suffix in {".json", ".xml"}:
        content = _pack_definitions(
            key, path.name, package_files.from_files([path], problems), problems
        )
        return _not_empty(Package(Archive(content), path.parent, folders), problems)
    if (known := _read_cached(key, path.parent, folders)) is not None:
        return known
    content = _pack_definitions(
        key, "", package_files.from_archive(path, problems), problems, path.name
    )
    package_cache.write(folders.cache, key, content)
    return Package(Archive(content), path.parent, folders)


def _from_folder(path: Path, folders: PackageFolders) -> Package:
    paths = package_files.list_folder(path)
    signs = [f"{each}\0{(facts := each.stat()).st_size}\0{facts.st_mtime_ns}" for each in paths]
    root = path.resolve()
    key = _key("\0".join([str(root), *signs]))
    place = root.parent
    if (known := _read_cached(key, place, folders)) is not None:
        return known
    problems: list[str] = []
    content = _pack_definitions(key, root.name, package_files.from_files(paths, problems), problems)
    package_cache.write(folders.cache, key, content)
    package = Package(Archive(content), place, folders)
    return package if package.version else _not_empty(package, problems)


def _not_empty(package: Package, problems: list[str]) -> Package:
    """The package, which must hold something: it is only where it lies that makes it one."""
    if not package.archive.entries:
        raise PackageError(f"{package}: {'; '.join(problems) or 'holds no definition'}")
    return package


def _key(sign: str) -> str:
    return hashlib.sha256(f"{_FORMAT}\0{sign}".encode("utf-8", "surrogateescape")).hexdigest()


def _read_cached(key: str, place: Path, folders: PackageFolders) -> Package | None:
    """The package as the cache has it."""
    archive = package_cache.read(folders.cache, key)
    try:
        if archive is None or archive.about(_About).key != key:
            return None
    except ArchiveError:
        return None
    return Package(archive, place, folders)


class _DefinitionHead(msgspec.Struct):
    """What a definition is found by."""

    kind: str = msgspec.field(name="resourceType", default="")
    url: str = ""
    version: str = ""


def _pack_definitions(
    key: str, name: str, files: Iterable[package_files.File], problems: list[str], archive: str = ""
) -> bytes:
    """The archive of a package's definitions; a package in an archive must say its name."""
    manifest: Manifest | None = None
    sources: list[ArchiveSource] = []
    for place, text in files:
        if place == "package.json":
            manifest = _manifest(archive or name, text)
        elif source := _source(place, text, problems):
            sources.append(source)
    if manifest is None and archive:
        raise PackageError(f"{archive}: holds no package/package.json, so it is no FHIR package")
    manifest = manifest or Manifest(name=name)
    if manifest.fhir_versions and not any(
        each.startswith("4.0") for each in manifest.fhir_versions
    ):
        problems.append(f"is for FHIR {', '.join(manifest.fhir_versions)}, not for R4 (4.0.1)")
    about = _About(key, manifest.name, manifest.version, manifest.dependencies, tuple(problems))
    return pack(sources, about=about, level=1)


def _manifest(name: str, text: bytes) -> Manifest:
    try:
        return msgspec.json.decode(text, type=known_to_msgspec(Manifest))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"{name}: package.json cannot be read: {error}") from error


def _source(place: str, text: bytes, problems: list[str]) -> ArchiveSource | None:
    """A definition as it is packed; None of what is none, told where that is a fault."""
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        if place.endswith(".xml"):
            text = from_xml.xml_to_json(text) or b"{}"
        head = msgspec.json.decode(text, type=known_to_msgspec(_DefinitionHead))
    except (ValueError, RecursionError) as error:  # that of msgspec is one
        problems.append(f"{place}: cannot be read: {error}")
        return None
    if not (head.kind and head.url):
        return None
    return ArchiveSource(head.kind, head.url, head.version, text, place)


# --- dependencies


class ResolvedPackages(msgspec.Struct, frozen=True):
    """Packages with those they depend on."""

    packages: tuple[Package, ...]
    missing: tuple[str, ...]  #: "hl7.terminology.r4#5.0.0"
    problems: tuple[str, ...]


def with_dependencies(packages: Iterable[Package]) -> ResolvedPackages:
    """The packages, then those they depend on as far as they lie beside or in the usual folder."""
    found = list(packages)
    names = {each.name for each in found} | {CORE}
    missing: dict[str, None] = {}
    problems = [problem for each in found for problem in each.problems]
    for package in found:  # it grows
        for name, version in package.dependencies.items():
            if name in names:
                continue
            names.add(name)
            places = (package.place, package.folders.packages)
            path = find_package(name, version, places)
            if path is None:
                missing[f"{name}#{version}"] = None
                continue
            try:
                found.append(open_package(path, package.folders))
                problems += found[-1].problems
            except PackageError as error:
                missing[f"{name}#{version}"] = None
                problems.append(str(error))
    return ResolvedPackages(tuple(found), tuple(missing), tuple(problems))
