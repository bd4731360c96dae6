"""The data of mutation testing names modules, tests and lines that exist."""

from tests.mutation.parts import Equivalent, load_equivalents, load_parts

PACKAGES = (
    "fhir_b12/bundles/",
    "fhir_b12/codes.py",
    "fhir_b12/fhirpath/",
    "fhir_b12/mapping/",
    "fhir_b12/units.py",
    "fhir_b12/validation/",
    "server/auth/",
    "server/search/",
    "server/store/",
)
CONVERT = {"file": "fhir_b12/units.py", "function": "convert", "mutant": "", "reason": "none"}


def test_every_file_and_test_of_a_part_exists():
    assert all(part.files for part in load_parts().values())


def test_no_module_belongs_to_two_parts():
    files = [file for part in load_parts().values() for file in part.files]
    assert len(files) == len(set(files))


def test_the_parts_cover_the_packages_that_matter():
    files = {file for part in load_parts().values() for file in part.files}
    covered = {name for name in PACKAGES for file in files if file.startswith(name)}
    assert covered == set(PACKAGES)


def test_every_equivalent_mutant_has_its_line_and_a_reason():
    rows = load_equivalents()
    assert [row for row in rows if row.is_stale()] == []
    assert [row for row in rows if not row.reason] == []


def test_an_equivalent_mutant_is_stale_without_its_line():
    assert not Equivalent(line="def convert(", **CONVERT).is_stale()
    assert Equivalent(line="def convert_to(", **CONVERT).is_stale()
    assert Equivalent(line="def convert(", **CONVERT | {"function": "nothing"}).is_stale()
    assert Equivalent(line="def convert(", **CONVERT | {"file": "fhir_b12/gone.py"}).is_stale()
