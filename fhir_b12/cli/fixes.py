"""`--fix`: apply the fixes that are certain to the files, and validate them again."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fhir_b12.cli import input_files
from fhir_b12.cli.file_validator import FileValidator
from fhir_b12.cli.json_edits import EditError, Patch, apply_patches
from fhir_b12.cli.streams import is_ndjson_name
from fhir_b12.jsonio import JsonError, loads
from fhir_b12.printable import printable
from fhir_b12.reports.file_results import FileResult
from fhir_b12.reports.source_excerpts import mask_line

_MAX_ROUNDS = 10  #: a fix may reveal a finding that has a fix too


class FixResult(NamedTuple):
    """Text of a file before and after its fixes."""

    remaining: FileResult  #: findings after the fixes
    before: str  #: original text
    after: str  #: fixed text
    fix_count: int  #: number of fixes applied


def fix_file(name: str, validator: FileValidator) -> FixResult:
    """Return the text of a file with every fix applied; the file is not written."""
    result = validator.validate_file(name)
    if result.read_error is not None or not any(issue.fix for issue in result.issues):
        return FixResult(result, "", "", 0)
    before = Path(name).read_bytes().decode("utf-8", "surrogateescape")
    text, count = before, 0
    for _ in range(_MAX_ROUNDS):
        changed, applied = _apply_fixes(text, result)
        if not applied:
            break
        text, count = changed, count + applied
        result = _validate_again(name, text, validator)
    return FixResult(result, before, text, count)


def _validate_again(name: str, text: str, validator: FileValidator) -> FileResult:
    raw = text.encode("utf-8", "surrogateescape")
    if not is_ndjson_name(name):
        return validator.validate_text(name, raw)
    lines = tuple(line.rstrip(b"\r") for line in raw.split(b"\n"))
    return validator.validate_chunk(input_files.Chunk(name, 1, lines))


def _apply_fixes(text: str, result: FileResult) -> tuple[str, int]:
    """Return the text after one round of fixes, and their number."""
    if not result.is_ndjson:
        return _apply_valid(text, [issue.fix for issue in result.issues if issue.fix])
    patches: dict[int, list[Patch]] = {}
    for issue in result.issues:
        if issue.fix and issue.line:
            patches.setdefault(issue.line, []).append(issue.fix)
    lines, count = text.split("\n"), 0
    for number, line_patches in patches.items():
        lines[number - 1], applied = _apply_valid(lines[number - 1], line_patches)
        count += applied
    return "\n".join(lines), count


def _apply_valid(text: str, patches: list[Patch]) -> tuple[str, int]:
    """Apply patches to a text; return it unchanged if the result would not be valid JSON."""
    try:
        changed, count = apply_patches(text, patches)
        loads(changed)
    except (EditError, JsonError):
        return text, 0
    return changed, count


def save_text(name: str, text: str) -> None:
    """Replace the content of a file atomically; links and permissions are preserved."""
    path = Path(name).resolve()
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
        part.chmod(path.stat().st_mode & 0o7777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def unified_diff(name: str, fixed: FixResult, *, show_values: bool) -> Iterator[str]:
    """Yield the lines of a unified diff, values masked unless they are to be shown."""
    before, after = fixed.before.splitlines(), fixed.after.splitlines()
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", lineterm=""):
        if line.startswith(("@@", "--- ", "+++ ")):
            yield printable(line)
        else:
            text = line[1:] if show_values else mask_line(line[1:])
            yield line[0] + printable(text.expandtabs(4))
