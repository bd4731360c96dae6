"""Packages from every place they come from, well made or not; and R4's own definitions by url."""

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from decimal import Decimal

import pytest

from fhir_b12 import data, definitions
from fhir_b12.definitions import core, kept, packages, unpacked
from fhir_b12.definitions.archive import Archive, ArchiveError, Source, pack
from fhir_b12.definitions.canonicals import Canonicals, fits
from fhir_b12.definitions.faults import DefinitionError, PackageError
from fhir_b12.definitions.packages import (
    Folders,
    Package,
    as_number,
    of_resources,
    open_package,
    with_dependencies,
)

NOWHERE = Folders()
TYPES = "http://hl7.org/fhir/StructureDefinition/"


def value_set(name, version="1.0.0", **more):
    url = f"http://example.org/ValueSet/{name}"
    return {"resourceType": "ValueSet", "url": url, "version": version, "status": "draft"} | more


def manifest(name="test.one", version="1.0.0", **more):
    return {"name": name, "version": version, "fhirVersions": ["4.0.1"]} | more


def archive(path, files):
    """A `.tgz`; content that is no bytes is JSON, a TarInfo stands for itself."""
    with tarfile.open(path, "w:gz") as written:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                written.addfile(content)
                continue
            text = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(text)
            written.addfile(member, io.BytesIO(text))
    return path


def folder(path, files):
    path.mkdir(parents=True)
    for name, content in files.items():
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(text)
    return path


def good(name="test.one", version="1.0.0", **more):
    return {
        "package/package.json": manifest(name, version, **more),
        "package/ValueSet-a.json": value_set("a", version),
        "package/.index.json": {"files": []},
        "package/example/Patient-x.json": {"resourceType": "Patient", "id": "x"},
        "package/example/ValueSet-z.json": value_set("z"),
    }


def urls(package):
    return [each.url.rpartition("/")[2] for each in package.archive.entries]


# --- where packages come from


def test_a_package_is_an_archive_a_folder_or_what_lies_below_one(tmp_path):
    places = [
        archive(tmp_path / "one.tgz", good()),
        folder(tmp_path / "one", good()),
        folder(tmp_path / "flat", good()) / "package",
    ]
    for place in places:
        package = open_package(place, NOWHERE)
        assert (str(package), urls(package), package.problems) == ("test.one#1.0.0", ["a"], ())


def test_a_plain_folder_and_a_single_file_are_packages_without_version(tmp_path):
    place = folder(
        tmp_path / "mine",
        {
            "a.json": value_set("a"),
            "deep/b.json": value_set("b"),
            "deep/patient.json": {"resourceType": "Patient"},
            ".hidden/c.json": value_set("c"),
            "notes.txt": b"no JSON",
        },
    )
    package = open_package(place, NOWHERE)
    assert (str(package), urls(package), package.problems) == ("mine", ["a", "b"], ())
    assert urls(open_package(place / "a.json", NOWHERE)) == ["a"]


def test_a_name_is_looked_for_where_fhir_tools_keep_packages(tmp_path):
    root = tmp_path / "packages"
    for version in ("1.9.0", "1.10.0", "1.10.0-ballot", "2.0.0"):
        folder(root / f"test.one#{version}", good(version=version))
    folders = Folders(root, None)
    found = {
        name: str(open_package(name, folders))
        for name in ("test.one", "test.one#1.9.0", "test.one#1.10.x", "test.one#latest")
    }
    assert found == {
        "test.one": "test.one#2.0.0",
        "test.one#1.9.0": "test.one#1.9.0",
        "test.one#1.10.x": "test.one#1.10.0",
        "test.one#latest": "test.one#2.0.0",
    }


@pytest.mark.parametrize(
    "name", ["test.two", "test.one#9.9.9", "../../etc#1", "no such/file.tgz", "a\0b", "", "."]
)
def test_what_is_nowhere_is_an_error_that_says_so(tmp_path, name, monkeypatch):
    monkeypatch.chdir(folder(tmp_path / "empty", {}))
    folder(tmp_path / "packages" / "test.one#1.0.0", good())
    folders = Folders(tmp_path / "packages", None)
    with pytest.raises(PackageError, match=r"there is no such|is called so|none is given|holds no"):
        open_package(name, folders)


def test_versions_are_ordered_as_people_read_them():
    ordered = ["", "current", "1.0.0-ballot", "1.0.0", "1.2.0", "1.10.0", "2021-02-03", "4.0.1"]
    assert len({as_number(each) for each in ordered}) == len(ordered)
    assert as_number("1.0.0-ballot") < as_number("1.0.0") < as_number("1.2") < as_number("1.10.0")


def test_definitions_at_hand_make_a_package():
    package = of_resources("mine", [value_set("a", note=Decimal("1.50"))])
    known = Canonicals([package])
    assert known.value_set("http://example.org/ValueSet/a")["note"] == Decimal("1.50")
    with pytest.raises(PackageError, match="mine: resource 0"):
        of_resources("mine", [{"resourceType": 3}])


# --- what they depend on


def test_dependencies_lie_beside_or_in_the_usual_folder_and_the_missing_are_named_once(tmp_path):
    needs = {"hl7.fhir.r4.core": "4.0.1", "test.two": "1.0.0", "test.three": "2.x", "test.no": "1"}
    archive(tmp_path / "one.tgz", good(dependencies=needs))
    archive(tmp_path / "test.two-1.0.0.tgz", good("test.two", dependencies={"test.no": "1"}))
    folder(tmp_path / "packages" / "test.three#2.1.0", good("test.three", "2.1.0"))
    folders = Folders(tmp_path / "packages", None)
    known = Canonicals([open_package(tmp_path / "one.tgz", folders)])
    assert [str(each) for each in known.packages] == [
        "test.one#1.0.0",
        "test.two#1.0.0",
        "test.three#2.1.0",
    ]
    assert known.missing == ("test.no#1",)


def test_packages_that_depend_on_each_other_are_opened_once(tmp_path):
    archive(tmp_path / "test.one-1.tgz", good(version="1", dependencies={"test.two": "1"}))
    archive(tmp_path / "test.two-1.tgz", good("test.two", "1", dependencies={"test.one": "1"}))
    loaded = with_dependencies([open_package(tmp_path / "test.one-1.tgz", NOWHERE)])
    assert [str(each) for each in loaded.packages] == ["test.one#1", "test.two#1"]


def test_a_dependency_that_cannot_be_opened_is_missing_and_says_why(tmp_path):
    needs = {"test.two": "1.0.0", "../test": "1", "test/../../x": "*"}
    archive(tmp_path / "one.tgz", good(dependencies=needs))
    (tmp_path / "test.two-1.0.0.tgz").write_bytes(b"no archive")
    known = Canonicals([open_package(tmp_path / "one.tgz", NOWHERE)])
    assert known.missing == ("test.two#1.0.0", "../test#1", "test/../../x#*")
    assert [each.partition(": not a .tgz")[0] for each in known.problems] == ["test.two-1.0.0.tgz"]


# --- canonicals


def test_a_canonical_may_name_a_version_and_else_means_the_newest():
    rows = [value_set("a", version) for version in ("1.0.0", "1.2.0", "1.10.0")]
    known = Canonicals([of_resources("mine", rows)])
    url = "http://example.org/ValueSet/a"
    asked = ["", "|1.2.0", "|1.2.9", "|1.2", "|1", "|3.0.0", "|x"]
    found = [known.find(url + version) for version in asked]
    assert [each and each["version"] for each in found] == [
        "1.10.0",
        "1.2.0",
        "1.2.0",
        "1.2.0",
        None,
        None,
        None,
    ]
    assert (known.find(url, "CodeSystem"), known.find(""), known.find("|1")) == (None, None, None)
    assert fits("2021-02-03", "2021-02-03")
    assert not fits("2021-02-03", "2021-02-04")


def test_a_package_may_bring_newer_value_sets_of_r4_but_never_other_types():
    status = "http://hl7.org/fhir/ValueSet/observation-status"
    rows = [
        value_set("x") | {"url": status, "version": "5.0.0"},
        {"resourceType": "StructureDefinition", "url": TYPES + "Patient", "version": "5.0.0"},
    ]
    known = Canonicals([of_resources("mine", rows)])
    assert known.value_set(status)["version"] == "5.0.0"
    assert known.value_set(status + "|4.0.1")["version"] == "4.0.1"
    assert known.structure(TYPES + "Patient")["version"] == "4.0.1"
    older = Canonicals([of_resources("mine", [rows[0] | {"version": "3.0.0"}])])
    assert older.value_set(status)["version"] == "4.0.1"


def test_r4s_own_definitions_are_there_by_url_and_types_by_name():
    known = Canonicals()
    patient = known.structure("Patient")
    assert patient is known.structure(TYPES + "Patient|4.0.1") or patient == known.structure(
        TYPES + "Patient|4.0.1"
    )
    by_id = {each["id"]: each for each in patient["snapshot"]["element"]}
    gender = by_id["Patient.gender"]
    assert gender["binding"] == {
        "strength": "required",
        "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1",
    }
    assert (gender["min"], gender["max"], gender["type"]) == (0, "1", [{"code": "code"}])
    assert gender["base"] == {"path": "Patient.gender", "min": 0, "max": "1"}
    assert [each["key"] for each in by_id["Patient.contact"]["constraint"]] == ["ele-1", "pat-1"]
    assert known.structure("Nonsense") is None
    assert known.find(TYPES + "Patient|5.0.0") is None
    concepts = known.code_system("http://hl7.org/fhir/observation-status")["concept"]
    assert concepts[3] == {
        "code": "amended",
        "display": "Amended",
        "concept": [{"code": "corrected", "display": "Corrected"}],
    }
    deprecated = known.code_system("http://terminology.hl7.org/CodeSystem/v2-0003")["concept"]
    assert {"code": "status", "valueCode": "deprecated"} in [
        row for each in deprecated for row in each.get("property", ())
    ]


def test_every_definition_of_r4_can_be_read():
    kinds = {kind: len(rows) for kind, rows in core.entries().items()}
    assert kinds == {
        "StructureDefinition": 655,
        "CodeSystem": 1062,
        "ValueSet": 1316,
    }
    read = [core.resource(kind, url) for kind, rows in core.entries().items() for url in rows]
    assert all(read)


def test_search_parameters_and_compartments_are_those_of_the_type():
    of_type = definitions.search_parameters("Observation")
    assert (of_type["code"].type, of_type["_id"].type, len(of_type)) == ("token", "token", 53)
    assert of_type["subject"].target == ("Group", "Device", "Patient", "Location")
    assert [each.expression for each in of_type["code-value-quantity"].component] == [
        "code",
        "value.as(Quantity)",
    ]
    assert definitions.search_parameters("Nonsense") == {}
    assert definitions.compartment("Patient")["Observation"] == ("subject", "performer")
    assert definitions.compartment("Nonsense") == {}


def test_what_ships_of_r4_is_below_a_megabyte():
    sizes = [
        len(each.read_bytes()) for each in data.definitions().iterdir() if ".json" in each.name
    ]
    assert sum(sizes) < 1_000_000


def test_importing_canonicals_reads_nothing():
    program = (
        "from fhir_b12.definitions import canonicals, core;"
        "print(core._archive.cache_info().currsize);"
        "canonicals.Canonicals(); print(core._archive.cache_info().currsize)"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert ran.stdout.split() == [b"0", b"0"]


# --- bad packages


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
        (b"", "no package/package.json|broken"),
        (b"no archive at all", "not a .tgz"),
        (gzip.compress(b"no tar"), "broken or cut"),
        (gzip.compress(b"x" * 5000), "broken or cut"),
        (gzip.compress(bytes(5000)), "no package/package.json"),
        (b"PK\x03\x04 a zip", "not a .tgz"),
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
    started = time.perf_counter()
    with pytest.raises(PackageError, match="100 times its size"):
        open_package(path, NOWHERE)
    assert time.perf_counter() - started < 5


def test_more_files_than_a_package_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "ENTRIES", 100)
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
    started = time.perf_counter()
    with pytest.raises(PackageError, match=r"100 times its size|more than 100,000 files"):
        open_package(path, NOWHERE)
    assert time.perf_counter() - started < 20


def test_one_broken_file_is_a_problem_and_not_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked, "FILE", 1000)
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


# --- definitions in XML


XML = """<?xml version="1.0" encoding="UTF-8"?>
<!-- as people hand it around -->
<StructureDefinition xmlns="http://hl7.org/fhir">
  <id value="x"/>
  <text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><p>b</p></div></text>
  <extension url="http://example.org/e"><valueDecimal value="1.50"/></extension>
  <contained><ValueSet><id value="v"/><status value="draft"/></ValueSet></contained>
  <url value="http://example.org/x"/>
  <name value="X"><extension url="http://example.org/e"><valueCode value="c"/></extension></name>
  <status><extension url="http://example.org/e"><valueBoolean value="true"/></extension></status>
  <abstract value="false"/>
  <contextInvariant value="a"/>
  <contextInvariant id="second" value="b"/>
  <differential>
    <element id="Patient.name"><path value="Patient.name"/><min value="1"/>
      <patternHumanName><given value="A"/><given value="B"/></patternHumanName></element>
  </differential>
</StructureDefinition>"""


def from_text(tmp_path, text):
    path = tmp_path / "x.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_package(path, NOWHERE)


def test_a_definition_in_xml_is_the_json_it_also_is(tmp_path):
    def extension(**value):
        return [{"url": "http://example.org/e"} | value]

    expected = {
        "resourceType": "StructureDefinition",
        "id": "x",
        "extension": extension(valueDecimal=Decimal("1.50")),
        "contained": [{"resourceType": "ValueSet", "id": "v", "status": "draft"}],
        "url": "http://example.org/x",
        "name": "X",
        "_name": {"extension": extension(valueCode="c")},
        "_status": {"extension": extension(valueBoolean=True)},
        "abstract": False,
        "contextInvariant": ["a", "b"],
        "_contextInvariant": [None, {"id": "second"}],
        "differential": {
            "element": [
                {
                    "id": "Patient.name",
                    "path": "Patient.name",
                    "min": 1,
                    "patternHumanName": {"given": ["A", "B"]},
                }
            ]
        },
    }
    for text in (XML, XML.replace("UTF-8", "UTF-16").encode("utf-16")):
        found = Canonicals([from_text(tmp_path, text)]).find("http://example.org/x")
        assert (found, str(found["extension"][0]["valueDecimal"])) == (expected, "1.50")


ENTITIES = "<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (XML[:200], "not well-formed XML"),
        (
            XML.replace("<!-- as people hand it around -->", ENTITIES),
            "document type is not allowed",
        ),
        (
            XML.replace("UTF-8", "UTF-16").replace("<!--", ENTITIES + "<!--").encode("utf-16"),
            "document type is not allowed",
        ),
        (
            XML.replace("name>", "nam>").replace("<name", "<nam"),
            "StructureDefinition has no element nam",
        ),
        (XML.replace('<min value="1"/>', '<min value="one"/>'), "element.min is no unsignedInt"),
        (
            XML.replace('<abstract value="false"/>', '<abstract value="no"/>'),
            "abstract is no boolean",
        ),
        (
            XML.replace('<id value="x"/>', '<id value="x"/><id value="y"/>'),
            "id may stand once only",
        ),
        (XML.replace("<p>", "<p>" * 200).replace("</p>", "</p>" * 200), "stand in one another"),
        ("<other/>", "holds no definition"),
        (XML.replace("StructureDefinition", "Patient"), "holds no definition"),
    ],
)
def test_xml_that_is_no_definition_is_refused_with_the_reason(tmp_path, text, reason):
    with pytest.raises(PackageError, match=reason):
        from_text(tmp_path, text)


# --- the cache


def unread(*_):
    raise AssertionError("read again")


def test_a_package_is_read_once_and_then_comes_from_the_cache(tmp_path, monkeypatch):
    folders = Folders(None, tmp_path / "cache")
    places = [archive(tmp_path / "one.tgz", good()), folder(tmp_path / "one", good())]
    first = [open_package(each, folders) for each in places]
    monkeypatch.setattr(unpacked, "from_archive", unread)
    monkeypatch.setattr(unpacked, "from_files", unread)
    again = [open_package(each, folders) for each in places]
    assert list(map(str, again)) == list(map(str, first))
    for package in again:
        assert Canonicals([package]).find("http://example.org/ValueSet/a") == value_set("a")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_folder_that_was_edited_is_read_again(tmp_path):
    folders = Folders(None, tmp_path / "cache")
    place = folder(tmp_path / "mine", {"a.json": value_set("a")})
    assert urls(open_package(place, folders)) == ["a"]
    (place / "a.json").write_text(json.dumps(value_set("bb")))
    assert urls(open_package(place, folders)) == ["bb"]


def spoiled_ways():
    return {
        "cut": lambda content, _: content[: len(content) // 2],
        "empty": lambda *_: b"",
        "turned at the end": lambda content, _: (
            content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]
        ),
        "turned at the start": lambda content, _: (
            content[:20] + bytes([content[20] ^ 1]) + content[21:]
        ),
        "no archive": lambda *_: b"no archive",
        "of another package": lambda _, other: other,
        "an index that lies": lambda *_: gzip.compress(b'{"entries": 3}'),
    }


@pytest.mark.parametrize("way", spoiled_ways())
def test_a_spoiled_cache_is_as_good_as_none(tmp_path, way):
    folders = Folders(None, tmp_path / "cache")
    path = archive(tmp_path / "one.tgz", good())
    open_package(path, folders)
    kept_one = next((tmp_path / "cache").glob("*.gz"))
    other = pack(
        [], about={"key": "x", "name": "y", "version": "", "dependencies": {}, "problems": []}
    )
    kept_one.write_bytes(spoiled_ways()[way](kept_one.read_bytes(), other))
    assert urls(open_package(path, folders)) == ["a"]


def test_a_cache_that_others_can_write_is_not_trusted(tmp_path, monkeypatch):
    folders = Folders(None, tmp_path / "cache")
    path = archive(tmp_path / "one.tgz", good())
    open_package(path, folders)
    kept_one = next((tmp_path / "cache").glob("*.gz"))
    key = kept_one.name.removesuffix(kept.SUFFIX)
    assert kept.read(tmp_path / "cache", key) is not None
    kept_one.chmod(0o666)
    assert kept.read(tmp_path / "cache", key) is None
    kept_one.chmod(0o600)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert kept.read(tmp_path / "cache", key) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    path = archive(tmp_path / "one.tgz", good())
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert urls(open_package(path, Folders(None, place))) == ["a"]


def test_the_cache_keeps_only_so_many(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEPT", 3)
    for number in range(6):
        kept.write(tmp_path / "cache", f"key{number}", pack([]))
        os.utime(tmp_path / "cache" / f"key{number}{kept.SUFFIX}", (number, number))
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_an_archive_is_the_same_bytes_each_time_and_never_unpacks_more_than_it_says():
    rows = [Source("ValueSet", f"http://x/{n}", "1", b"{" + b" " * n + b"}") for n in range(50)]
    packed = pack(rows, chunk=100)
    assert packed == pack(rows, chunk=100)
    read = Archive(packed, verify=True)
    assert [read.text(each) for each in read.entries] == [each.text for each in rows]
    body = gzip.compress(bytes(10_000_000), mtime=0)
    lying = {
        "entries": [["ValueSet", "u", "", "", 0, 0, 9_000_000]],
        "sizes": [len(body)],
        "lengths": [10],
        "digest": "",
    }
    bomb = Archive(gzip.compress(json.dumps(lying).encode()) + body)
    assert len(bomb.text(bomb.entries[0])) == 10
    with pytest.raises(ArchiveError, match="index"):
        Archive(b"")


def test_a_definition_spoiled_in_the_cache_is_an_error_with_its_url():
    packed = of_resources("mine", [value_set("a")])
    broken = pack(
        [Source("ValueSet", "http://example.org/ValueSet/a", "1", b"{broken")],
        about=packed.archive.about(packages._About),
    )
    known = Canonicals([Package(Archive(broken), None, NOWHERE)])
    with pytest.raises(DefinitionError, match=r"^mine: http://example\.org/ValueSet/a cannot"):
        known.find("http://example.org/ValueSet/a")


# --- real packages


def guide(fixtures, name):
    path = fixtures / "packages" / f"{name}.tgz"
    if not path.is_file():
        pytest.skip(f"no {path.name} among the fixtures")
    return path


def test_us_core_opens_and_names_what_it_depends_on(fixtures):
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
        for each in package.archive.entries:
            assert known.find(f"{each.url}|{each.version}", each.kind)["url"] == each.url


def test_us_core_from_the_cache_and_one_profile_cost_at_most_a_tenth_of_a_second(
    fixtures, tmp_path
):
    path = guide(fixtures, "hl7.fhir.us.core-6.1.0")
    folders = Folders(None, tmp_path)
    open_package(path, folders)
    url = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"
    costs = []
    for _ in range(3):
        started = time.perf_counter()
        assert Canonicals([open_package(path, folders)]).structure(url)
        costs.append(time.perf_counter() - started)
    assert min(costs) < 0.1
