"""Findings that are known and put up with: they are neither reported nor counted.

A baseline knows a finding by its file, rule and FHIRPath, so lines may shift; where entries or
items were put in before it, by the FHIRPath without indices.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fhir_b12.cli.streams import UsageError, write
from fhir_b12.jsonio import JsonError, dumps, loads
from fhir_b12.reports.file_results import Checked, Found, rule_of, shape

FORMAT = "fhir-b12-baseline/1"
_Key = tuple[str, str, str]  #: file, rule, FHIRPath


class Baseline:
    """What one file of known findings holds."""

    def __init__(self, known: Iterable[_Key]) -> None:
        self._known = Counter(known)

    def without_known(self, result: Checked) -> Checked:
        """The result without the findings that are known, and their number."""
        file = _name(result.file)
        left = Counter({key: n for key, n in self._known.items() if key[0] == file})
        exact: list[bool] = []
        for found in result.found:
            key = _key(file, found)
            exact.append(left[key] > 0)
            left[key] -= exact[-1]
        alike: Counter[_Key] = Counter()
        for (name, rule, path), number in left.items():
            alike[name, rule, shape(path)] += number
        fresh: list[Found] = []
        for found, is_known in zip(result.found, exact, strict=True):
            _, rule, path = _key(file, found)
            if is_known:
                continue
            if alike[file, rule, shape(path)] > 0:
                alike[file, rule, shape(path)] -= 1
            else:
                fresh.append(found)
        known = len(result.found) - len(fresh)
        return msgspec.structs.replace(result, found=tuple(fresh), known=known)


def load(path: str) -> Baseline:
    """The baseline of a file.

    Raises:
        UsageError: it is not there, or is no baseline.

    """
    try:
        held = loads(Path(path).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such baseline; --write-baseline makes it") from None
    except JsonError as error:
        raise UsageError(f"{path}: {error}") from error
    try:
        if held["format"] != FORMAT:
            raise UsageError(f"{path}: the format must be {FORMAT}; write it anew")
        return Baseline(_read(row) for row in held["findings"])
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{path}: this is no baseline; --write-baseline makes one") from None


def _read(row: Any) -> _Key:
    file, rule, path = row["file"], row["rule"], row["expression"]
    if not all(isinstance(each, str) for each in (file, rule, path)):
        raise TypeError
    return file, rule, path


def save(path: str, results: Sequence[Checked]) -> int:
    """Write all findings as known; give their number."""
    keys = sorted(_key(_name(each.file), found) for each in results for found in each.found)
    rows = [{"file": file, "rule": rule, "expression": where} for file, rule, where in keys]
    write(dumps({"format": FORMAT, "findings": rows}, indent=2), path)
    return len(rows)


def _name(file: str) -> str:
    """A file as every system writes it."""
    return file.replace("\\", "/").removeprefix("./")


def _key(file: str, found: Found) -> _Key:
    return file, rule_of(found.issue), found.issue.expression
