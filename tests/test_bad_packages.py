"""Broken and hostile packages: opening one raises an error with the reason, quickly."""

import gzip
import json
import os
import tarfile
import time

import pytest

from fhir_b12.definitions import package_files
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import PackageError
from fhir_b12.definitions.packages import (
    open_package,
)
from tests.packing import NOWHERE, archive, folder, good, manifest, urls, value_set


def link(name, target, link_type=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = link_type, target
    return member


def sparse(name):
    member = tarfile.TarInfo(name)
    member.size = 1 << 40
    return member


INVALID = {
    "path with ..": ({"package/../../evil.json": b"{}"}, "is outside the package: remove it"),
    "absolute path": ({"/etc/evil.json": b"{}"}, "is outside the package: remove it"),
    "path with .. on Windows": (
        {"package\\..\\evil.json": b"{}"},
        "is outside the package: remove it",
    ),
    "symbolic link": (
        {"package/a.json": link("package/a.json", "/etc/passwd")},
        "is a link: replace it with a file",
    ),
    "hard link": (
        {"package/a.json": link("package/a.json", "package/b.json", tarfile.LNKTYPE)},
        "is a link: replace it with a file",
    ),
    "no package.json": ({"package/a.json": value_set("a")}, "package/package.json is missing"),
    "broken package.json": ({"package/package.json": b"{"}, "package.json cannot be read"),
    "no name": ({"package/package.json": {}}, "package.json cannot be read"),
    "dependencies as a list": (
        {"package/package.json": manifest(dependencies=["a"])},
        "package.json cannot be read",
    ),
    "nested too deep": (
        {"package/package.json": b'{"name":' + b"[" * 100_000},
        "package.json cannot be read",
    ),
    "member longer than the file": (
        {"package/a.json": sparse("package/a.json")},
        "broken or truncated",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_package_raises_an_error_with_the_reason(tmp_path, case):
    files, reason = INVALID[case]
    path = archive(tmp_path / "bad.tgz", files)
    with pytest.raises(PackageError, match=reason):
        open_package(path, NOWHERE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "package.json is missing|broken", id="empty file"),
        pytest.param(b"no archive at all", "not a .tgz", id="text"),
        pytest.param(gzip.compress(b"no tar"), "broken or truncated", id="short text, zipped"),
        pytest.param(gzip.compress(b"x" * 5000), "broken or truncated", id="long text, zipped"),
        pytest.param(gzip.compress(bytes(5000)), "package.json is missing", id="zeros, zipped"),
        pytest.param(b"PK\x03\x04 a zip", "not a .tgz", id="zip archive"),
    ],
)
def test_a_file_that_is_no_archive_raises_an_error_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "bad.tgz"
    path.write_bytes(content)
    with pytest.raises(PackageError, match=reason):
        open_package(path, NOWHERE)


def test_a_truncated_archive_raises_an_error(tmp_path):
    whole = archive(tmp_path / "one.tgz", good()).read_bytes()
    path = tmp_path / "cut.tgz"
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(PackageError):
            open_package(path, NOWHERE)


def test_an_archive_with_a_flipped_bit_is_read_or_raises_an_error(tmp_path):
    whole = archive(tmp_path / "one.tgz", good()).read_bytes()
    path = tmp_path / "changed.tgz"
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            open_package(path, NOWHERE)
        except PackageError:
            continue


def test_a_decompression_bomb_is_refused_early(tmp_path):
    path = tmp_path / "bomb.tgz"
    member = tarfile.TarInfo("package/package.json")
    member.size = 1 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(member.tobuf())
        for _ in range(160):
            file.write(bytes(1 << 20))
    started = time.thread_time()
    with pytest.raises(PackageError, match="more than 100 times its size"):
        open_package(path, NOWHERE)
    assert time.thread_time() - started < 5


def test_a_package_with_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(package_files, "MAX_FILES", 100)
    files = {f"package/x{number}": b"" for number in range(101)}
    with pytest.raises(PackageError, match="more than 100 files"):
        open_package(archive(tmp_path / "many.tgz", files), NOWHERE)
    with pytest.raises(PackageError, match="more than 100 files"):
        open_package(folder(tmp_path / "many", files), NOWHERE)


def write_entries(path, count):
    """Write an archive of many empty files."""
    block = b"".join(tarfile.TarInfo(f"package/{number}").tobuf() for number in range(1000))
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(count // 1000):
            file.write(block)


def test_reading_stops_at_the_limit_of_files(tmp_path, monkeypatch):
    monkeypatch.setattr(package_files, "MAX_FILES", 1000)
    path = tmp_path / "many.tgz"
    write_entries(path, 50_000)
    path.write_bytes(path.read_bytes()[:-1000])  # to read on would be the error "truncated"
    with pytest.raises(PackageError, match="more than 1,000 files"):
        open_package(path, NOWHERE)


@pytest.mark.slow
def test_a_million_entries_are_refused_in_seconds(tmp_path):
    path = tmp_path / "many.tgz"
    write_entries(path, 1_000_000)
    started = time.thread_time()
    with pytest.raises(PackageError, match=r"100 times its size|more than 100,000 files"):
        open_package(path, NOWHERE)
    assert time.thread_time() - started < 20


def test_broken_files_are_problems_and_the_other_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(package_files, "MAX_FILE_SIZE", 1000)
    files = good() | {
        "package/broken.json": b'{"resourceType": "ValueSet", ',
        "package/latin.json": '{"resourceType": "ValueSet", "url": "ü"}'.encode("latin-1"),
        "package/list.json": b"[1, 2]",
        "package/deep.json": b"[" * 900,
        "package/huge.json": b" " * 2000,
        "package/marked.json": b"\xef\xbb\xbf" + json.dumps(value_set("marked")).encode(),
        "package/old.xml": b"<ValueSet>",
        "package/other.json": {"resourceType": "Patient"},
    }
    for path in (archive(tmp_path / "one.tgz", files), folder(tmp_path / "one", files)):
        package = open_package(path, NOWHERE)
        assert sorted(urls(package)) == ["a", "marked"]
        broken_files = sorted(problem.split(": ")[1] for problem in package.problems)
        assert broken_files == [
            "broken.json",
            "deep.json",
            "huge.json",
            "latin.json",
            "list.json",
            "old.xml",
        ]
        assert Canonicals([package]).problems == package.problems


def test_a_package_for_another_fhir_version_has_a_problem(tmp_path):
    path = archive(tmp_path / "one.tgz", {"package/package.json": manifest(fhirVersions=["5.0.0"])})
    assert open_package(path, NOWHERE).problems == (
        "test.one#1.0.0: is for FHIR 5.0.0, not for R4 (4.0.1): use the package for R4",
    )


def test_links_out_of_a_folder_are_not_followed(tmp_path):
    outside = folder(tmp_path / "outside", {"b.json": value_set("b")})
    path = folder(tmp_path / "mine", {"a.json": value_set("a")})
    (path / "b.json").symlink_to(outside / "b.json")
    (path / "out").symlink_to(outside)
    (path / "loop.json").symlink_to(path / "loop.json")
    os.mkfifo(path / "pipe.json")
    assert urls(open_package(path, NOWHERE)) == ["a"]
