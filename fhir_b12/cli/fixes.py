"""`--fix`: apply the remedies one is sure of to the files, and check again what is left."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fhir_b12.cli import input_files
from fhir_b12.cli.file_validator import Checker
from fhir_b12.cli.json_edits import EditError, Patch, apply
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.reports.file_results import Checked, printable
from fhir_b12.reports.source_excerpts import masked

_ROUNDS = 10  #: a remedy may bring to light what another can mend


class Mended(NamedTuple):
    """What came of one file."""

    result: Checked  #: what is left
    before: str  #: the text as it was
    after: str  #: and as it is
    remedies: int  #: how many were applied


def mend(name: str, checker: Checker) -> Mended:
    """The text of one file with every remedy applied; nothing is written."""
    result = checker.file(name)
    if result.trouble is not None or not any(found.issue.fix for found in result.found):
        return Mended(result, "", "", 0)
    before = Path(name).read_bytes().decode("utf-8", "surrogateescape")
    text, count = before, 0
    for _ in range(_ROUNDS):
        changed, mended = _apply(text, result)
        if not mended:
            break
        text, count = changed, count + mended
        result = _again(name, text, checker)
    return Mended(result, before, text, count)


def _again(name: str, text: str, checker: Checker) -> Checked:
    raw = text.encode("utf-8", "surrogateescape")
    if not input_files.has_lines(name):
        return checker.text(name, raw)
    lines = tuple(line.rstrip(b"\r") for line in raw.split(b"\n"))
    return checker.lines(input_files.Chunk(name, 1, lines))


def _apply(text: str, result: Checked) -> tuple[str, int]:
    """The text after one round, and how many remedies it took."""
    if not result.by_line:
        return _applied(text, [found.issue.fix for found in result.found if found.issue.fix])
    patches: dict[int, list[Patch]] = {}
    for found in result.found:
        if found.issue.fix and found.issue.line:
            patches.setdefault(found.issue.line, []).append(found.issue.fix)
    lines, count = text.split("\n"), 0
    for number, each in patches.items():
        lines[number - 1], mended = _applied(lines[number - 1], each)
        count += mended
    return "\n".join(lines), count


def _applied(text: str, patches: list[Patch]) -> tuple[str, int]:
    """The same text where the outcome would be no JSON."""
    try:
        changed, count = apply(text, patches)
        loads(changed)
    except (EditError, JsonError):
        return text, 0
    return changed, count


def save(name: str, text: str) -> None:
    """Put the text in the file's place, all of it at once; links and modes are kept."""
    path = Path(name).resolve()
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
        part.chmod(path.stat().st_mode & 0o7777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def difference(name: str, mended: Mended, *, show_values: bool) -> Iterator[str]:
    """A unified diff; values are masked in it unless they were asked for."""
    before, after = mended.before.splitlines(), mended.after.splitlines()
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm=""):
        if line.startswith(("@@", "--- ", "+++ ")):
            yield printable(line)
        else:
            text = line[1:] if show_values else masked(line[1:])
            yield line[0] + printable(text.expandtabs(4))
