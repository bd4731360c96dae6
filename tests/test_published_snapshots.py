"""The snapshots of published guides, made again from their differentials."""

import tomllib
from pathlib import Path

import pytest

from fhir_b12.definitions import snapshots
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.definitions.packages import Folders, open_package
from tests.conftest import fixtures_root
from tests.requirements import EXAMPLES, missing

GUIDES = ("hl7.fhir.us.core-6.1.0", "hl7.fhir.uv.ips-1.1.0")
LISTED = tomllib.loads(
    (Path(__file__).parent / "conformance" / "snapshots.toml").read_text("utf-8")
)


class Regenerated:
    """The guides' profiles with snapshots made anew, as their publisher makes them."""

    def __init__(self, paths):
        self.published = Canonicals([open_package(path, Folders()) for path in paths])
        self.own = {
            entry.url for package in self.published.packages for entry in package.archive.entries
        }
        self.made = {}

    def __call__(self, canonical):
        url = canonical.partition("|")[0]
        if url not in self.own:
            return self.published.structure(canonical)
        if url not in self.made:
            found = self.published.find(url, "StructureDefinition")
            bare = {key: value for key, value in found.items() if key != "snapshot"}
            self.made[url] = snapshots.with_snapshot(bare, self, publisher=True)
        return self.made[url]


def paths():
    found = [fixtures_root() / "packages" / f"{name}.tgz" for name in GUIDES]
    return [path for path in found if path.is_file()]


def profiles():
    packages = [open_package(path, Folders()) for path in paths()]
    found = [
        each.url for package in packages for each in package.archive.entries if is_profile(each)
    ]
    return found or [
        pytest.param("", marks=pytest.mark.skip(reason=missing(EXAMPLES, "no guides among them")))
    ]


def is_profile(entry):
    return entry.kind == "StructureDefinition"


@pytest.fixture(scope="module")
def regenerated():
    return Regenerated(paths())


def facts(element):
    """What is compared of an element."""
    found = {
        name: value
        for name, value in element.items()
        if name.startswith(("fixed", "pattern", "minValue", "maxValue"))
        or name in {"min", "max", "maxLength", "contentReference", "base"}
    }
    found |= {name: True for name in ("isModifier", "mustSupport") if element.get(name)}
    for name in ("profile", "targetProfile"):
        found[name] = [(each["code"], each.get(name)) for each in element.get("type", ())]
    if binding := element.get("binding"):
        found["binding"] = (binding.get("strength"), binding.get("valueSet"))
    if slicing := element.get("slicing"):
        by = [(each["type"], each["path"]) for each in slicing.get("discriminator", ())]
        found["slicing"] = (slicing["rules"], slicing.get("ordered", False), by)
    found["constraint"] = sorted(each["key"] for each in element.get("constraint", ()))
    return found


def differences(made, published):
    """`element fact` of each that differs; `ids` where the elements or their order do."""
    rows = {view["id"]: facts(view) for view in made}
    found = [] if list(rows) == [each["id"] for each in published] else ["ids"]
    for each in published:
        ours, theirs = rows.get(each["id"], {}), facts(each)
        names = sorted({*ours, *theirs})
        found += [f"{each['id']} {name}" for name in names if ours.get(name) != theirs.get(name)]
    return found


@pytest.mark.parametrize("url", profiles(), ids=lambda url: url.rpartition("/")[2])
def test_a_published_snapshot_is_made_again_from_its_differential(url, regenerated):
    listed = LISTED.get(url, {})
    if "cannot" in listed:
        with pytest.raises(DefinitionError) as error:
            regenerated(url)
        assert listed["cannot"] in str(error.value)
        return
    published = regenerated.published.find(url, "StructureDefinition")["snapshot"]["element"]
    made = regenerated(url)["snapshot"]["element"]
    assert differences(made, published) == listed.get("differs", [])


def test_every_listed_difference_has_a_reason():
    assert [url for url, row in LISTED.items() if not row.get("reason")] == []
