"""Baseline: known findings that are neither reported nor counted.

A finding is identified by file, rule and FHIRPath, so its line may change; if entries or items were
inserted before it, by the FHIRPath without indices.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.cli.streams import UsageError, write_bytes
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.reports.file_results import FileFinding, FileResult, rule_id, without_indices

FORMAT = "fhir-b12-baseline/1"
_Key = tuple[str, str, str]  #: file, rule, FHIRPath


class Baseline:
    """Known findings of one baseline file."""

    def __init__(self, known: Iterable[_Key]) -> None:
        self._known = Counter(known)

    def remove_known(self, result: FileResult) -> FileResult:
        """Return a result without its known findings, with their number in `known`.

        Findings with the same path are matched first, then those that differ only in indices.
        """
        file = _portable_name(result.file)
        unmatched = Counter({key: n for key, n in self._known.items() if key[0] == file})
        exact_matches: list[bool] = []
        for finding in result.findings:
            key = _key(file, finding)
            exact_matches.append(unmatched[key] > 0)
            unmatched[key] -= exact_matches[-1]
        similar: Counter[_Key] = Counter()
        for (name, rule, path), number in unmatched.items():
            similar[name, rule, without_indices(path)] += number
        new: list[FileFinding] = []
        for finding, is_known in zip(result.findings, exact_matches, strict=True):
            if is_known:
                continue
            _, rule, path = _key(file, finding)
            if similar[file, rule, without_indices(path)] > 0:
                similar[file, rule, without_indices(path)] -= 1
            else:
                new.append(finding)
        known = len(result.findings) - len(new)
        return msgspec.structs.replace(result, findings=tuple(new), known=known)


def load(path: str) -> Baseline:
    """Return the baseline of a file.

    Raises:
        UsageError: the file is missing or not a baseline.

    """
    try:
        content = loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file: create it with --write-baseline") from None
    except JsonError as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        if content["format"] != FORMAT:
            raise UsageError(f"{path}: format must be {FORMAT}: write it again")
        return Baseline(_parse_row(row) for row in content["findings"])
    except (KeyError, TypeError, ValueError):
        message = f"{path}: not a baseline file: create one with --write-baseline"
        raise UsageError(message) from None


def _parse_row(row: Any) -> _Key:
    file, rule, path = row["file"], row["rule"], row["expression"]
    if not all(isinstance(text, str) for text in (file, rule, path)):
        raise TypeError
    return file, rule, path


def save(path: str, results: Sequence[FileResult]) -> int:
    """Write all findings to a baseline file; return their number."""
    keys = sorted(
        _key(_portable_name(result.file), finding)
        for result in results
        for finding in result.findings
    )
    rows = [{"file": file, "rule": rule, "expression": path} for file, rule, path in keys]
    write_bytes(dumps({"format": FORMAT, "findings": rows}, indent=2), path)
    return len(rows)


def _portable_name(file: str) -> str:
    """Return a file name with slashes, without `./`."""
    return file.replace("\\", "/").removeprefix("./")


def _key(file: str, finding: FileFinding) -> _Key:
    return file, rule_id(finding.issue), finding.issue.expression
