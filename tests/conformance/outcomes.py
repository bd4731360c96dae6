"""Recorded outcomes of the reference validator beside ours.

A row agrees in *verdict* when both or neither find an error, and in *places* when the sets of the
places of errors are equal. Places are compared as plain FHIRPath; what the reference says only
because it ran alone is left out on its side, by rule, here and nowhere else.
"""

import bz2
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_MIME = re.compile(
    r"(contentType|CapabilityStatement\.format(\[\d+\])?|MimeType(\[\d+\])?|patchFormat(\[\d+\])?|[sg](ig|et)Format|currency|language)$"
)
#: The reference ran without a terminology server and without other packages: the rule, and the
#: places where it speaks of that alone.
ALONE = {
    "Type_Specific_Checks_DT_URL_Resolve": re.compile(""),
    "UNABLE_TO_INFER_CODESYSTEM": _MIME,
    "Terminology_TX_NoValid_16": _MIME,
    "Terminology_TX_NoValid_12": re.compile(""),
}
#: The reference counts from one here, and FHIRPath from zero.
FROM_ONE = {
    "Bundle_BUNDLE_Entry_Orphan_DOCUMENT",
    "Bundle_BUNDLE_Entry_Orphan_MESSAGE",
    "BUNDLE_BUNDLE_ENTRY_REVERSE_R4",
}
_COMPOSITION = re.compile(r"Bundle\.entry\[1\]\.resource\.")
_OF_TYPE = re.compile(r"\[url='[^']*'\]|\.ofType\([A-Za-z]+\)|/\*.*?\*/|\[x\]")
_INDEX = re.compile(r"\[(\d+)\]")


#: recorded file -> the package the reference knew
PACKAGES = {
    "r4-examples": None,
    "us-core": "hl7.fhir.us.core-6.1.0.tgz",
    "ips": "hl7.fhir.uv.ips-1.1.0.tgz",
}


@dataclass(frozen=True)
class Row:
    """One resource and what the reference said of it."""

    name: str
    text: str
    profiles: tuple[str, ...]
    issues: tuple[dict, ...]
    operator: str

    @property
    def errors(self) -> dict[str, set[str]]:
        """Place of each error -> the reference's rules there."""
        found: dict[str, set[str]] = {}
        for issue in self.issues:
            rule = issue.get("rule")
            where = issue.get("expression") or ""
            if rule in ALONE and ALONE[rule].search(where):
                continue
            if issue["severity"] in {"error", "fatal"}:
                found.setdefault(place(issue.get("expression"), rule), set()).add(str(rule))
        return found


def place(expression: str | None, rule: str | None = None) -> str:
    """A place as plain FHIRPath."""
    plain = _OF_TYPE.sub("", expression or "$this")
    if rule in FROM_ONE or (
        (rule or "").startswith(("BUNDLE_BUNDLE_ENTRY_NOTFOUND", "Bundle_BUNDLE_Entry_NotFound"))
        and _COMPOSITION.match(plain)
    ):
        plain = _INDEX.sub(lambda match: f"[{int(match[1]) - 1}]", plain)
    return "$this" if re.fullmatch(r"\$|[A-Za-z]+", plain) and plain != "Bundle" else plain


def rows(fixtures: Path, name: str) -> Iterator[Row]:
    """The rows of one recorded file: `r4-examples`, `us-core`, `ips`."""
    sources = _sources(fixtures, name)
    file = fixtures / "reference_outcomes" / f"{name}.ndjson.bz2"
    with bz2.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            text = row.get("text") or sources[row["source"]]
            yield Row(
                row["id"], text, tuple(row["profiles"]), tuple(row["issues"]), row["operator"]
            )


def _sources(fixtures: Path, name: str) -> dict[str, str]:
    if name == "ips":
        package = fixtures / "packages" / PACKAGES[name]
        with tarfile.open(package) as archive:
            return {
                Path(member.name).name: archive.extractfile(member).read().decode()
                for member in archive
                if "/example/" in member.name and member.name.endswith(".json")
            }
    files = (fixtures / name).rglob("*.json")
    return {file.name: file.read_text("utf-8") for file in files}


@dataclass
class Tally:
    """How often both agree, and where not."""

    total: int = 0
    verdicts: int = 0
    places: int = 0
    differing: list[tuple[Row, object, set[str], set[str]]] = field(default_factory=list)

    def add(self, row: Row, report) -> None:
        self.total += 1
        theirs = set(row.errors)
        ours = {place(issue.expression) for issue in report if issue.is_error}
        self.verdicts += bool(theirs) == bool(ours)
        self.places += theirs == ours
        if theirs != ours:
            self.differing.append((row, report, theirs - ours, ours - theirs))
