"""Packages that nobody should send: each is refused with its reason, in a moment."""

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


def link(name, target, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def sparse(name):
    member = tarfile.TarInfo(name)
    member.size = 1 << 40
    return member


HOSTILE = {
    "climbs out": ({"package/../../evil.json": b"{}"}, "leads out of the package"),
    "is absolute": ({"/etc/evil.json": b"{}"}, "leads out of the package"),
    "climbs out on Windows": ({"package\\..\\evil.json": b"{}"}, "leads out of the package"),
    "links": ({"package/a.json": link("package/a.json", "/etc/passwd")}, "is a link"),
    "links hard": (
        {"package/a.json": link("package/a.json", "package/b.json", tarfile.LNKTYPE)},
        "is a link",
    ),
    "has no package.json": ({"package/a.json": value_set("a")}, "no package/package.json"),
    "has a broken package.json": ({"package/package.json": b"{"}, "package.json cannot be read"),
    "has no name": ({"package/package.json": {}}, "package.json cannot be read"),
    "has odd dependencies": (
        {"package/package.json": manifest(dependencies=["a"])},
        "package.json cannot be read",
    ),
    "is nested too deep": (
        {"package/package.json": b'{"name":' + b"[" * 100_000},
        "package.json cannot be read",
    ),
    "says it is longer than it is": ({"package/a.json": sparse("package/a.json")}, "broken or cut"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_is_no_package_is_refused_with_the_reason(tmp_path, case):
    files, reason = HOSTILE[case]
    path = archive(tmp_path / "bad.tgz", files)
    with pytest.raises(PackageError, match=reason):
        open_package(path, NOWHERE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "no package/package.json|broken", id="nothing"),
        pytest.param(b"no archive at all", "not a .tgz", id="text"),
        pytest.param(gzip.compress(b"no tar"), "broken or cut", id="short text, zipped"),
        pytest.param(gzip.compress(b"x" * 5000), "broken or cut", id="long text, zipped"),
        pytest.param(gzip.compress(bytes(5000)), "no package/package.json", id="zeros, zipped"),
        pytest.param(b"PK\x03\x04 a zip", "not a .tgz", id="another kind of archive"),
    ],
)
def test_what_is_no_archive_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "bad.tgz"
    path.write_bytes(content)
    with pytest.raises(PackageError, match=reason):
        open_package(path, NOWHERE)


def test_an_archive_cut_off_anywhere_is_refused(tmp_path):
    whole = archive(tmp_path / "one.tgz", good()).read_bytes()
    path = tmp_path / "cut.tgz"
    for size in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:size])
        with pytest.raises(PackageError):
            open_package(path, NOWHERE)


def test_an_archive_with_any_bit_turned_is_read_or_refused(tmp_path):
    whole = archive(tmp_path / "one.tgz", good()).read_bytes()
    path = tmp_path / "turned.tgz"
    for place in range(0, len(whole), 3):
        turned = bytearray(whole)
        turned[place] ^= 1 << place % 8
        path.write_bytes(turned)
        try:
            open_package(path, NOWHERE)
        except PackageError:
            continue


def test_a_bomb_is_refused_before_it_costs_much(tmp_path):
    path = tmp_path / "bomb.tgz"
    member = tarfile.TarInfo("package/package.json")
    member.size = 1 << 30
    with gzip.open(path, "wb", compresslevel=1) as written:
        written.write(member.tobuf())
        for _ in range(160):
            written.write(bytes(1 << 20))
    started = time.thread_time()
    with pytest.raises(PackageError, match="100 times its size"):
        open_package(path, NOWHERE)
    assert time.thread_time() - started < 5


def test_more_files_than_a_package_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(package_files, "MAX_FILES", 100)
    files = {f"package/x{number}": b"" for number in range(101)}
    with pytest.raises(PackageError, match="more than 100 files"):
        open_package(archive(tmp_path / "many.tgz", files), NOWHERE)
    with pytest.raises(PackageError, match="more than 100 files"):
        open_package(folder(tmp_path / "many", files), NOWHERE)


def test_a_million_entries_are_refused_in_seconds(tmp_path):
    path = tmp_path / "many.tgz"
    block = b"".join(tarfile.TarInfo(f"package/{number}").tobuf() for number in range(1000))
    with gzip.open(path, "wb", compresslevel=1) as written:
        for _ in range(1000):
            written.write(block)
    started = time.thread_time()
    with pytest.raises(PackageError, match=r"100 times its size|more than 100,000 files"):
        open_package(path, NOWHERE)
    assert time.thread_time() - started < 20


def test_one_broken_file_is_a_problem_and_not_the_end(tmp_path, monkeypatch):
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
    for place in (archive(tmp_path / "one.tgz", files), folder(tmp_path / "one", files)):
        package = open_package(place, NOWHERE)
        assert sorted(urls(package)) == ["a", "marked"]
        told = sorted(each.split(": ")[1] for each in package.problems)
        assert told == [
            "broken.json",
            "deep.json",
            "huge.json",
            "latin.json",
            "list.json",
            "old.xml",
        ]
        assert Canonicals([package]).problems == package.problems


def test_a_package_for_another_fhir_version_says_so(tmp_path):
    path = archive(tmp_path / "one.tgz", {"package/package.json": manifest(fhirVersions=["5.0.0"])})
    assert open_package(path, NOWHERE).problems == (
        "test.one#1.0.0: is for FHIR 5.0.0, not for R4 (4.0.1)",
    )


def test_a_folder_is_not_left_by_its_links(tmp_path):
    outside = folder(tmp_path / "outside", {"b.json": value_set("b")})
    place = folder(tmp_path / "mine", {"a.json": value_set("a")})
    (place / "b.json").symlink_to(outside / "b.json")
    (place / "out").symlink_to(outside)
    (place / "loop.json").symlink_to(place / "loop.json")
    os.mkfifo(place / "pipe.json")
    assert urls(open_package(place, NOWHERE)) == ["a"]
