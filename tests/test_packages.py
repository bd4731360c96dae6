"""Opening packages from every source, their dependencies, and the package cache."""

import gzip
import json
import os
from decimal import Decimal

import pytest

from fhir_b12.definitions import package_cache, package_files, packages
from fhir_b12.definitions.archive import Archive, ArchiveError, ArchiveSource, pack
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import DefinitionError, PackageError
from fhir_b12.definitions.packages import (
    Package,
    PackageFolders,
    of_resources,
    open_package,
    version_key,
    with_dependencies,
)
from tests.packing import NOWHERE, archive, folder, good, urls, value_set
from tests.requirements import EXAMPLES, skip_missing

# --- sources


def test_a_package_is_an_archive_a_folder_or_its_package_subfolder(tmp_path):
    paths = [
        archive(tmp_path / "one.tgz", good()),
        folder(tmp_path / "one", good()),
        folder(tmp_path / "flat", good()) / "package",
    ]
    for path in paths:
        package = open_package(path, NOWHERE)
        assert (str(package), urls(package), package.problems) == ("test.one#1.0.0", ["a"], ())


def test_a_plain_folder_and_a_single_file_are_packages_without_version(tmp_path):
    path = folder(
        tmp_path / "mine",
        {
            "a.json": value_set("a"),
            "deep/b.json": value_set("b"),
            "deep/patient.json": {"resourceType": "Patient"},
            ".hidden/c.json": value_set("c"),
            "notes.txt": b"no JSON",
        },
    )
    package = open_package(path, NOWHERE)
    assert (str(package), urls(package), package.problems) == ("mine", ["a", "b"], ())
    assert urls(open_package(path / "a.json", NOWHERE)) == ["a"]


def test_a_name_is_searched_in_the_package_folder_of_fhir_tools(tmp_path):
    root = tmp_path / "packages"
    for version in ("1.9.0", "1.10.0", "1.10.0-ballot", "2.0.0"):
        folder(root / f"test.one#{version}", good(version=version))
    folders = PackageFolders(root, None)
    opened = {
        name: str(open_package(name, folders))
        for name in ("test.one", "test.one#1.9.0", "test.one#1.10.x", "test.one#latest")
    }
    assert opened == {
        "test.one": "test.one#2.0.0",
        "test.one#1.9.0": "test.one#1.9.0",
        "test.one#1.10.x": "test.one#1.10.0",
        "test.one#latest": "test.one#2.0.0",
    }


@pytest.mark.parametrize(
    "name", ["test.two", "test.one#9.9.9", "../../etc#1", "no such/file.tgz", "a\0b", "", "."]
)
def test_a_missing_package_raises_an_error(tmp_path, name, monkeypatch):
    monkeypatch.chdir(folder(tmp_path / "empty", {}))
    folder(tmp_path / "packages" / "test.one#1.0.0", good())
    folders = PackageFolders(tmp_path / "packages", None)
    with pytest.raises(
        PackageError, match=r"no such package|not found|invalid name|is empty|contains no"
    ):
        open_package(name, folders)


def test_versions_are_ordered_by_number_and_releases_follow_their_ballots():
    ordered = ["", "current", "1.0.0-ballot", "1.0.0", "1.2.0", "1.10.0", "2021-02-03", "4.0.1"]
    assert len({version_key(version) for version in ordered}) == len(ordered)
    assert (
        version_key("1.0.0-ballot")
        < version_key("1.0.0")
        < version_key("1.2")
        < version_key("1.10.0")
    )


def test_a_package_is_built_from_definitions_in_memory():
    package = of_resources("mine", [value_set("a", note=Decimal("1.50"))])
    known = Canonicals([package])
    assert known.value_set("http://example.org/ValueSet/a")["note"] == Decimal("1.50")
    with pytest.raises(PackageError, match="mine: resource 0"):
        of_resources("mine", [{"resourceType": 3}])


# --- dependencies


def test_dependencies_are_searched_in_parent_and_package_folder_and_missing_ones_listed_once(
    tmp_path,
):
    needs = {"hl7.fhir.r4.core": "4.0.1", "test.two": "1.0.0", "test.three": "2.x", "test.no": "1"}
    archive(tmp_path / "one.tgz", good(dependencies=needs))
    archive(tmp_path / "test.two-1.0.0.tgz", good("test.two", dependencies={"test.no": "1"}))
    folder(tmp_path / "packages" / "test.three#2.1.0", good("test.three", "2.1.0"))
    folders = PackageFolders(tmp_path / "packages", None)
    known = Canonicals([open_package(tmp_path / "one.tgz", folders)])
    assert [str(package) for package in known.packages] == [
        "test.one#1.0.0",
        "test.two#1.0.0",
        "test.three#2.1.0",
    ]
    assert known.missing == ("test.no#1",)


def test_packages_that_depend_on_each_other_are_opened_once(tmp_path):
    archive(tmp_path / "test.one-1.tgz", good(version="1", dependencies={"test.two": "1"}))
    archive(tmp_path / "test.two-1.tgz", good("test.two", "1", dependencies={"test.one": "1"}))
    loaded = with_dependencies([open_package(tmp_path / "test.one-1.tgz", NOWHERE)])
    assert [str(package) for package in loaded.packages] == ["test.one#1", "test.two#1"]


def test_a_dependency_that_cannot_be_opened_is_missing_and_a_problem(tmp_path):
    needs = {"test.two": "1.0.0", "../test": "1", "test/../../x": "*"}
    archive(tmp_path / "one.tgz", good(dependencies=needs))
    (tmp_path / "test.two-1.0.0.tgz").write_bytes(b"no archive")
    known = Canonicals([open_package(tmp_path / "one.tgz", NOWHERE)])
    assert known.missing == ("test.two#1.0.0", "../test#1", "test/../../x#*")
    assert [problem.partition(": not a .tgz")[0] for problem in known.problems] == [
        "test.two-1.0.0.tgz"
    ]


# --- the cache


def fail_on_read(*_):
    raise AssertionError("read again")


def test_a_package_is_read_once_and_then_opened_from_the_cache(tmp_path, monkeypatch):
    folders = PackageFolders(None, tmp_path / "cache")
    paths = [archive(tmp_path / "one.tgz", good()), folder(tmp_path / "one", good())]
    first = [open_package(path, folders) for path in paths]
    monkeypatch.setattr(package_files, "from_archive", fail_on_read)
    monkeypatch.setattr(package_files, "from_files", fail_on_read)
    again = [open_package(path, folders) for path in paths]
    assert list(map(str, again)) == list(map(str, first))
    for package in again:
        assert Canonicals([package]).find("http://example.org/ValueSet/a") == value_set("a")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_folder_that_was_edited_is_read_again(tmp_path):
    folders = PackageFolders(None, tmp_path / "cache")
    path = folder(tmp_path / "mine", {"a.json": value_set("a")})
    assert urls(open_package(path, folders)) == ["a"]
    (path / "a.json").write_text(json.dumps(value_set("bb")))
    assert urls(open_package(path, folders)) == ["bb"]


def damages():
    """Return functions that damage a cached file: (content, another cache file) -> content."""
    return {
        "truncated": lambda content, _: content[: len(content) // 2],
        "empty": lambda *_: b"",
        "bit flipped at the end": lambda content, _: (
            content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
        ),
        "bit flipped at the start": lambda content, _: (
            content[:20] + bytes([content[20] ^ 1]) + content[21:]
        ),
        "no archive": lambda *_: b"no archive",
        "content of another package": lambda _, other: other,
        "wrong index": lambda *_: gzip.compress(b'{"entries": 3}'),
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_cache_file_is_ignored(tmp_path, damage):
    folders = PackageFolders(None, tmp_path / "cache")
    path = archive(tmp_path / "one.tgz", good())
    open_package(path, folders)
    cached_file = next((tmp_path / "cache").glob("*.gz"))
    other = pack(
        [], about={"key": "x", "name": "y", "version": "", "dependencies": {}, "problems": []}
    )
    cached_file.write_bytes(damages()[damage](cached_file.read_bytes(), other))
    assert urls(open_package(path, folders)) == ["a"]


def test_a_cache_file_that_other_users_can_write_is_ignored(tmp_path, monkeypatch):
    folders = PackageFolders(None, tmp_path / "cache")
    path = archive(tmp_path / "one.tgz", good())
    open_package(path, folders)
    cached_file = next((tmp_path / "cache").glob("*.gz"))
    key = cached_file.name.removesuffix(package_cache.SUFFIX)
    assert package_cache.read(tmp_path / "cache", key) is not None
    cached_file.chmod(0o666)
    assert package_cache.read(tmp_path / "cache", key) is None
    cached_file.chmod(0o600)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert package_cache.read(tmp_path / "cache", key) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    path = archive(tmp_path / "one.tgz", good())
    for cache in (tmp_path / "file", tmp_path / "file" / "below"):
        assert urls(open_package(path, PackageFolders(None, cache))) == ["a"]


def test_the_cache_removes_the_oldest_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(package_cache, "MAX_PACKAGES", 3)
    for number in range(6):
        package_cache.write(tmp_path / "cache", f"key{number}", pack([]))
        os.utime(tmp_path / "cache" / f"key{number}{package_cache.SUFFIX}", (number, number))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_packing_is_deterministic_and_unpacking_is_limited_to_the_indexed_length():
    rows = [
        ArchiveSource("ValueSet", f"http://x/{n}", "1", b"{" + b" " * n + b"}") for n in range(50)
    ]
    packed = pack(rows, chunk=100)
    assert packed == pack(rows, chunk=100)
    read = Archive(packed, verify=True)
    assert [read.text(entry) for entry in read.entries] == [row.text for row in rows]
    body = gzip.compress(bytes(10_000_000), mtime=0)
    index = {
        "entries": [["ValueSet", "u", "", "", 0, 0, 9_000_000]],
        "sizes": [len(body)],
        "lengths": [10],
        "digest": "",
    }
    bomb = Archive(gzip.compress(json.dumps(index).encode()) + body)
    assert len(bomb.text(bomb.entries[0])) == 10
    with pytest.raises(ArchiveError, match="index"):
        Archive(b"")


def test_a_definition_damaged_in_the_cache_raises_an_error_with_its_url():
    packed = of_resources("mine", [value_set("a")])
    broken = pack(
        [ArchiveSource("ValueSet", "http://example.org/ValueSet/a", "1", b"{broken")],
        about=packed.archive.about(packages._About),
    )
    known = Canonicals([Package(Archive(broken), None, NOWHERE)])
    with pytest.raises(DefinitionError, match=r"^mine: http://example\.org/ValueSet/a cannot"):
        known.find("http://example.org/ValueSet/a")


# --- real packages


def guide(fixtures, name):
    path = fixtures / "packages" / f"{name}.tgz"
    if not path.is_file():
        skip_missing(EXAMPLES, f"no {path.name} in packages/")
    return path


def test_us_core_is_opened_and_its_missing_dependencies_are_listed(fixtures):
    package = open_package(guide(fixtures, "hl7.fhir.us.core-6.1.0"), NOWHERE)
    known = Canonicals([package])
    assert (str(package), package.problems, len(package.archive.entries)) == (
        "hl7.fhir.us.core#6.1.0",
        (),
        210,
    )
    assert known.missing == (
        "hl7.terminology.r4#5.0.0",
        "hl7.fhir.uv.extensions.r4#1.0.0",
        "hl7.fhir.uv.bulkdata#2.0.0",
        "hl7.fhir.uv.smart-app-launch#2.1.0",
        "us.nlm.vsac#0.10.0",
        "hl7.fhir.uv.sdc#3.0.0",
        "us.cdc.phinvads#0.12.0",
        "ihe.formatcode.fhir#1.1.0",
    )


def test_every_definition_of_the_guides_can_be_read(fixtures):
    for name in ("hl7.fhir.us.core-6.1.0", "hl7.fhir.uv.ips-1.1.0"):
        package = open_package(guide(fixtures, name), NOWHERE)
        known = Canonicals([package])
        for entry in package.archive.entries:
            assert (
                known.find(f"{entry.url}|{entry.version}", entry.resource_type)["url"] == entry.url
            )


def test_us_core_from_the_cache_gives_the_same_profile(fixtures, tmp_path):
    path = guide(fixtures, "hl7.fhir.us.core-6.1.0")
    folders = PackageFolders(None, tmp_path)
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
    first = Canonicals([open_package(path, folders)]).structure(url)
    assert first
    assert Canonicals([open_package(path, folders)]).structure(url) == first
