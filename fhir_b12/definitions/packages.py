"""FHIR packages: US Core, IPS, national guides, local profiles.  https://confluence.hl7.org/display/FHIR/NPM+Package+Specification

A package is a `.tgz`, a folder, or a name in `~/.fhir/packages`, the package cache of FHIR tools.
Opening a package indexes its files by url; a definition is decoded on first use.
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

CORE = "hl7.fhir.r4.core"  #: part of fhir-b12, never looked up
_FORMAT = "3"  #: version of the cache's content; part of every cache key
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:#(?P<version>[\w.+-]+))?", re.ASCII)


class PackageFolders(msgspec.Struct, frozen=True):
    """Folders to search packages in and to cache opened packages in; None disables either."""

    packages: Path | None = None
    cache: Path | None = None


def default_folders() -> PackageFolders:
    """Return `~/.fhir/packages`, and `fhir-b12/packages` in the user's cache folder."""
    try:
        home = Path.home()
    except RuntimeError:
        return PackageFolders()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return PackageFolders(home / ".fhir" / "packages", caches / "fhir-b12" / "packages")


class Manifest(msgspec.Struct, frozen=True):
    """The fields of `package.json` that are used."""

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
    """An opened package: its name, version, dependencies and archive of definitions."""

    def __init__(self, archive: Archive, parent: Path | None, folders: PackageFolders) -> None:
        """Create a package; `parent` is the folder that contains it, searched for dependencies."""
        about = archive.about(_About)
        self.archive = archive
        self.name = about.name
        self.version = about.version
        self.dependencies: Mapping[str, str] = about.dependencies
        self.problems = tuple(f"{self}: {problem}" for problem in about.problems)
        self.parent = parent
        self.folders = folders

    def __str__(self) -> str:
        """Return name and version, e.g. `hl7.fhir.us.core#6.1.0`."""
        return f"{self.name}#{self.version}" if self.version else self.name


def open_package(source: str | Path, folders: PackageFolders | None = None) -> Package:
    """Open a package from a `.tgz`, a folder, one definition's file, or by name.

    Args:
        source: A path, or a name in the package folder: `name#version`, or `name` for its newest
            version.
        folders: The folders to search and to cache in; those of the user by default.

    Returns:
        The opened package; files that cannot be read are listed in its `problems`.

    Raises:
        PackageError: The package does not exist or cannot be read.

    """
    folders = default_folders() if folders is None else folders
    path = Path(source)
    if not str(source):
        raise PackageError("the name of a package is empty: give a file, a folder or name#version")
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise PackageError(f"invalid name of a package: {error}") from error
    if not (is_folder or is_file):
        path = _find_by_name(str(source), folders)
        is_folder = path.is_dir()
    read = _from_folder if is_folder else _from_file
    return read(path, folders)


def of_resources(name: str, resources: Iterable[Mapping[str, Any]]) -> Package:
    """Build a package from definitions in memory.

    Args:
        name: The name of the package, used in messages.
        resources: The definitions as JSON objects, each with `resourceType` and `url`.

    Returns:
        A package without version and dependencies.

    Raises:
        PackageError: A definition cannot be read, e.g. its `url` is not a string.

    """
    problems: list[str] = []
    files = ((f"resource {number}", _encode(resource)) for number, resource in enumerate(resources))
    content = _pack_definitions("", name, files, problems)
    if problems:
        raise PackageError(f"{name}: " + "; ".join(problems))
    return Package(Archive(content), None, PackageFolders())


# --- by name


def _find_by_name(source: str, folders: PackageFolders) -> Path:
    """Return the path of a package by name.

    Raises:
        PackageError: No package has this name.

    """
    parts = _NAME.fullmatch(source)
    if parts is None:
        raise PackageError(f"{source}: file or folder not found: check the path")
    path = find_package(parts["name"], parts["version"] or "", (folders.packages,))
    if path is None:
        where = f"in {folders.packages}" if folders.packages else "(no package folder is set)"
        raise PackageError(
            f"{source}: no such file or folder, and no such package {where}: "
            "check the name or download the package"
        )
    return path


def find_package(name: str, version: str, folders: Iterable[Path | None]) -> Path | None:
    """Return the path of a package, None if no folder has it.

    A package is a folder `name#version`, or an archive `name#version.tgz` or `name-version.tgz`.

    Args:
        name: The name of the package.
        version: An exact version, or `6.1.x`, `latest` or "" for the newest that matches.
        folders: The folders to search, in order of precedence for the same version.

    """
    if not _NAME.fullmatch(name):
        return None
    matches: dict[str, Path] = {}
    for folder in filter(None, folders):
        for path, path_version in _list_versions(name, folder):
            if _version_satisfies(path_version, version):
                matches.setdefault(path_version, path)
    return matches[max(matches, key=version_key)] if matches else None


def _list_versions(name: str, folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield path and version of all packages of a name in a folder."""
    try:
        paths = sorted(folder.glob(f"{name}[#-]*"))
    except OSError:
        return
    for path in paths:
        rest = path.name[len(name) + 1 :]
        if path.name[len(name)] == "#" and path.is_dir():
            yield path, rest
        elif rest.endswith(".tgz") and rest[0].isdigit() and path.is_file():
            yield path, rest.removesuffix(".tgz")


def _version_satisfies(version: str, required: str) -> bool:
    if required in {"", "latest", "*"}:
        return True
    stem, _, last = required.rpartition(".")
    return version == required or (last in {"x", "*"} and version.startswith(stem + "."))


def version_key(version: str) -> tuple[tuple[int, str], ...]:
    """Return a sort key of a version: 6.1.0 > 6.1.0-ballot > 6.0.10 > 6.0.9."""
    release, _, label = version.partition("-")
    parts = [(int(part), "") if part.isdecimal() else (-1, part) for part in release.split(".")]
    return (*parts, (-2, label) if label else (-1, ""))


# --- opening


def _from_file(path: Path, folders: PackageFolders) -> Package:
    """Open a `.tgz`, or the JSON or XML file of one definition.

    Raises:
        PackageError: The file cannot be read, or has no definitions.

    """
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
        return _require_definitions(Package(Archive(content), path.parent, folders), problems)
    if (cached := _read_cached(key, path.parent, folders)) is not None:
        return cached
    content = _pack_definitions(
        key, "", package_files.from_archive(path, problems), problems, path.name
    )
    package_cache.write(folders.cache, key, content)
    return Package(Archive(content), path.parent, folders)


def _from_folder(path: Path, folders: PackageFolders) -> Package:
    """Open a folder; its cache key changes with the path, size and time of any file."""
    paths = package_files.list_folder(path)
    states = [f"{file}\0{(stat := file.stat()).st_size}\0{stat.st_mtime_ns}" for file in paths]
    root = path.resolve()
    key = _key("\0".join([str(root), *states]))
    if (cached := _read_cached(key, root.parent, folders)) is not None:
        return cached
    problems: list[str] = []
    content = _pack_definitions(key, root.name, package_files.from_files(paths, problems), problems)
    package_cache.write(folders.cache, key, content)
    package = Package(Archive(content), root.parent, folders)
    return package if package.version else _require_definitions(package, problems)


def _require_definitions(package: Package, problems: list[str]) -> Package:
    """Return a package that has definitions.

    Raises:
        PackageError: The package has none. A folder without `package.json` is only a package if it
            contains definitions.

    """
    if not package.archive.entries:
        reason = "; ".join(problems) or "contains no definition with a resourceType and a url"
        raise PackageError(f"{package}: {reason}")
    return package


def _key(state: str) -> str:
    """Return the cache key of a package, a hash of the state of its source."""
    return hashlib.sha256(f"{_FORMAT}\0{state}".encode("utf-8", "surrogateescape")).hexdigest()


def _read_cached(key: str, parent: Path, folders: PackageFolders) -> Package | None:
    """Return a package from the cache, None if it is not cached."""
    archive = package_cache.read(folders.cache, key)
    try:
        if archive is None or archive.about(_About).key != key:
            return None
    except ArchiveError:
        return None
    return Package(archive, parent, folders)


class _DefinitionHead(msgspec.Struct):
    """The elements that identify a definition."""

    resource_type: str = msgspec.field(name="resourceType", default="")
    url: str = ""
    version: str = ""


def _pack_definitions(
    key: str, name: str, files: Iterable[package_files.File], problems: list[str], archive: str = ""
) -> bytes:
    """Build the archive of a package's definitions.

    Raises:
        PackageError: An archive has no `package.json`, or `package.json` cannot be read.

    """
    manifest: Manifest | None = None
    sources: list[ArchiveSource] = []
    for file_name, text in files:
        if file_name == "package.json":
            manifest = _parse_manifest(archive or name, text)
        elif source := _parse_definition(file_name, text, problems):
            sources.append(source)
    if manifest is None and archive:
        raise PackageError(
            f"{archive}: package/package.json is missing: give the .tgz of a FHIR package"
        )
    manifest = manifest or Manifest(name=name)
    if manifest.fhir_versions and not any(
        version.startswith("4.0") for version in manifest.fhir_versions
    ):
        versions = ", ".join(manifest.fhir_versions)
        problems.append(f"is for FHIR {versions}, not for R4 (4.0.1): use the package for R4")
    about = _About(key, manifest.name, manifest.version, manifest.dependencies, tuple(problems))
    return pack(sources, about=about, level=1)


def _parse_manifest(name: str, text: bytes) -> Manifest:
    try:
        return msgspec.json.decode(text, type=known_to_msgspec(Manifest))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PackageError(f"{name}: package.json cannot be read: {error}") from error


def _parse_definition(file_name: str, text: bytes, problems: list[str]) -> ArchiveSource | None:
    """Return a definition to pack; None if a file has none.

    A file that cannot be read is added to the problems.
    """
    text = text.removeprefix(b"\xef\xbb\xbf")
    try:
        if file_name.endswith(".xml"):
            text = from_xml.xml_to_json(text) or b"{}"
        head = msgspec.json.decode(text, type=known_to_msgspec(_DefinitionHead))
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        problems.append(f"{file_name}: cannot be read: {error}")
        return None
    if not (head.resource_type and head.url):
        return None
    return ArchiveSource(head.resource_type, head.url, head.version, text, file_name)


# --- dependencies


class ResolvedPackages(msgspec.Struct, frozen=True):
    """Packages and their dependencies."""

    packages: tuple[Package, ...]
    missing: tuple[str, ...]  #: "hl7.terminology.r4#5.0.0"
    problems: tuple[str, ...]


def with_dependencies(packages: Iterable[Package]) -> ResolvedPackages:
    """Return the packages and their dependencies, direct and indirect.

    Dependencies are searched in the parent folder of the package and in its package folder;
    `missing` lists those that are not there, `problems` those that cannot be opened.
    """
    resolved = list(packages)
    names = {package.name for package in resolved} | {CORE}
    missing: dict[str, None] = {}
    problems = [problem for package in resolved for problem in package.problems]
    for package in resolved:  # grows while it is iterated
        for name, version in package.dependencies.items():
            if name in names:
                continue
            names.add(name)
            path = find_package(name, version, (package.parent, package.folders.packages))
            if path is None:
                missing[f"{name}#{version}"] = None
                continue
            try:
                resolved.append(open_package(path, package.folders))
                problems += resolved[-1].problems
            except PackageError as error:
                missing[f"{name}#{version}"] = None
                problems.append(str(error))
    return ResolvedPackages(tuple(resolved), tuple(missing), tuple(problems))
