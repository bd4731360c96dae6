"""The snapshots of published guides, generated again from their differentials."""

import tomllib
from pathlib import Path

import pytest

from fhir_b12.definitions import snapshots
from fhir_b12.definitions.canonicals import Canonicals
from fhir_b12.definitions.errors import DefinitionError
from fhir_b12.definitions.packages import PackageFolders, open_package
from tests.conftest import fixtures_root
from tests.requirements import EXAMPLES, parameters_or_skip

GUIDES = ("hl7.fhir.us.core-6.1.0", "hl7.fhir.uv.ips-1.1.0")
LISTED = tomllib.loads(
    (Path(__file__).parent / "conformance" / "snapshots.toml").read_text("utf-8")
)


class Regenerated:
    """The profiles of the guides, with snapshots generated in publisher mode."""

    def __init__(self, paths):
        self.published = Canonicals([open_package(path, PackageFolders()) for path in paths])
        self.own = {
            entry.url for package in self.published.packages for entry in package.archive.entries
        }
        self.generated = {}

    def __call__(self, canonical):
        url = canonical.partition("|")[0]
        if url not in self.own:
            return self.published.structure(canonical)
        if url not in self.generated:
            definition = self.published.find(url, "StructureDefinition")
            bare = {key: value for key, value in definition.items() if key != "snapshot"}
            self.generated[url] = snapshots.generate_snapshot(bare, self, publisher=True)
        return self.generated[url]


def paths():
    files = [fixtures_root() / "packages" / f"{name}.tgz" for name in GUIDES]
    return [path for path in files if path.is_file()]


def profiles():
    packages = [open_package(path, PackageFolders()) for path in paths()]
    urls = [
        entry.url for package in packages for entry in package.archive.entries if is_profile(entry)
    ]
    return parameters_or_skip(urls, EXAMPLES, f"none of {', '.join(GUIDES)} in packages/")


def is_profile(entry):
    return entry.resource_type == "StructureDefinition"


@pytest.fixture(scope="module")
def regenerated():
    return Regenerated(paths())


def compared_members(element):
    """Return the members of an element that are compared."""
    members = {
        name: value
        for name, value in element.items()
        if name.startswith(("fixed", "pattern", "minValue", "maxValue"))
        or name in {"min", "max", "maxLength", "contentReference", "base"}
    }
    members |= {name: True for name in ("isModifier", "mustSupport") if element.get(name)}
    for name in ("profile", "targetProfile"):
        types = element.get("type", ())
        members[name] = [(item["code"], item.get(name)) for item in types]
    if binding := element.get("binding"):
        members["binding"] = (binding.get("strength"), binding.get("valueSet"))
    if slicing := element.get("slicing"):
        by = [(item["type"], item["path"]) for item in slicing.get("discriminator", ())]
        members["slicing"] = (slicing["rules"], slicing.get("ordered", False), by)
    members["constraint"] = sorted(item["key"] for item in element.get("constraint", ()))
    return members


def differences(generated, published):
    """Return `element member` for each difference; `ids` if the elements or their order differ."""
    rows = {element["id"]: compared_members(element) for element in generated}
    result = [] if list(rows) == [element["id"] for element in published] else ["ids"]
    for element in published:
        path = element["id"]
        ours, theirs = rows.get(path, {}), compared_members(element)
        names = sorted({*ours, *theirs})
        result += [f"{path} {name}" for name in names if ours.get(name) != theirs.get(name)]
    return result


@pytest.mark.parametrize("url", profiles(), ids=lambda url: url.rpartition("/")[2])
def test_a_published_snapshot_is_generated_from_its_differential(url, regenerated):
    listed = LISTED.get(url, {})
    if "cannot" in listed:
        with pytest.raises(DefinitionError) as error:
            regenerated(url)
        assert listed["cannot"] in str(error.value)
        return
    published = regenerated.published.find(url, "StructureDefinition")["snapshot"]["element"]
    generated = regenerated(url)["snapshot"]["element"]
    assert differences(generated, published) == listed.get("differs", [])


def test_every_listed_difference_has_a_reason():
    assert [url for url, row in LISTED.items() if not row.get("reason")] == []
