"""Recorded outcomes of the reference validator, compared with ours.

A row agrees in its *verdict* if both or neither validator find an error, and in its *locations* if
the sets of the errors' locations are equal. Locations are compared as plain FHIRPath. Errors that
the reference only reports because it ran without a terminology server are left out, by rule.
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
#: Rules that the reference reports because it ran without a terminology server and without other
#: packages, with the locations for which this is so.
OFFLINE_RULES = {
    "Type_Specific_Checks_DT_URL_Resolve": re.compile(""),
    "UNABLE_TO_INFER_CODESYSTEM": _MIME,
    "Terminology_TX_NoValid_16": _MIME,
    "Terminology_TX_NoValid_12": re.compile(""),
}
#: Rules whose locations count from one; FHIRPath counts from zero.
ONE_BASED_RULES = {
    "Bundle_BUNDLE_Entry_Orphan_DOCUMENT",
    "Bundle_BUNDLE_Entry_Orphan_MESSAGE",
    "BUNDLE_BUNDLE_ENTRY_REVERSE_R4",
}
_COMPOSITION = re.compile(r"Bundle\.entry\[1\]\.resource\.")
_OF_TYPE = re.compile(r"\[url='[^']*'\]|\.ofType\([A-Za-z]+\)|/\*.*?\*/|\[x\]")
_INDEX = re.compile(r"\[(\d+)\]")


#: Package that the reference had loaded, by recorded file.
PACKAGES = {
    "r4-examples": None,
    "us-core": "hl7.fhir.us.core-6.1.0.tgz",
    "ips": "hl7.fhir.uv.ips-1.1.0.tgz",
}


@dataclass(frozen=True)
class Row:
    """One resource and the issues of the reference."""

    name: str
    text: str
    profiles: tuple[str, ...]
    issues: tuple[dict, ...]
    operator: str

    @property
    def errors(self) -> dict[str, set[str]]:
        """The reference's rules by the location of its errors."""
        rules: dict[str, set[str]] = {}
        for issue in self.issues:
            rule = issue.get("rule")
            expression = issue.get("expression") or ""
            if rule in OFFLINE_RULES and OFFLINE_RULES[rule].search(expression):
                continue
            if issue["severity"] in {"error", "fatal"}:
                location = plain_location(issue.get("expression"), rule)
                rules.setdefault(location, set()).add(str(rule))
        return rules


def plain_location(expression: str | None, rule: str | None = None) -> str:
    """Return a location as plain FHIRPath."""
    plain = _OF_TYPE.sub("", expression or "$this")
    if rule in ONE_BASED_RULES or (
        (rule or "").startswith(("BUNDLE_BUNDLE_ENTRY_NOTFOUND", "Bundle_BUNDLE_Entry_NotFound"))
        and _COMPOSITION.match(plain)
    ):
        plain = _INDEX.sub(lambda match: f"[{int(match[1]) - 1}]", plain)
    return "$this" if re.fullmatch(r"\$|[A-Za-z]+", plain) and plain != "Bundle" else plain


def rows(fixtures: Path, name: str) -> Iterator[Row]:
    """Yield the rows of one recorded file: `r4-examples`, `us-core`, `ips`."""
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
    """Number of agreements, and the rows that differ."""

    total: int = 0
    verdicts: int = 0
    locations: int = 0
    differing: list[tuple[Row, object, set[str], set[str]]] = field(default_factory=list)

    def add(self, row: Row, report) -> None:
        self.total += 1
        reference_locations = set(row.errors)
        our_locations = {plain_location(issue.expression) for issue in report if issue.is_error}
        self.verdicts += bool(reference_locations) == bool(our_locations)
        self.locations += reference_locations == our_locations
        if reference_locations != our_locations:
            self.differing.append(
                (
                    row,
                    report,
                    reference_locations - our_locations,
                    our_locations - reference_locations,
                )
            )
