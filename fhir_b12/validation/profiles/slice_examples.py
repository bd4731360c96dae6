"""Examples of values that match a slice, for messages."""

from collections.abc import Sequence
from typing import Any

from fhir_b12.validation.profiles.discriminators import parse_path
from fhir_b12.validation.profiles.snapshot_tree import SnapshotElement, Snapshots


def example_of(
    slice_: SnapshotElement, discriminators: Sequence[tuple[str, str]], snapshots: Snapshots
) -> str:
    """Return what to add so that a slice matches, "" if its discriminators do not say.

    Args:
        slice_: The slice in the snapshot.
        discriminators: Type and path of each discriminator.
        snapshots: The snapshots of the profiles that the slice refers to.

    Returns:
        For example "observation-category#laboratory", "a value with use 'home'" or "a value of type
        Quantity".

    Raises:
        SlicingError: The path of a discriminator is invalid.

    """
    parts = [_part(slice_, kind, path, snapshots) for kind, path in discriminators]
    return " and ".join(part for part in parts if part)


def _part(slice_: SnapshotElement, kind: str, path: str, snapshots: Snapshots) -> str:
    """Return the example for one discriminator."""
    if "resolve()" in path:
        return ""
    for element in snapshots.elements_at(slice_, parse_path(path)):
        if kind == "type" and element.types:
            return f"a value of type {' or '.join(element.types)}"
        if kind == "exists":
            presence = "without" if element.max == 0 else "with"
            return f"a value {presence} {path}"
        if kind not in {"value", "pattern"}:
            return ""
        for stem in ("fixed", "pattern"):
            value = element.choice(stem)
            if value is not None:
                return _format(value, path)
        binding = element.binding
        if binding is not None and binding.strength == "required":
            return f"a code of the value set {binding.value_set}"
    return ""


def _format(value: Any, path: str) -> str:
    """Return a fixed value or pattern in words: a coding as `system#code`."""
    if isinstance(value, dict):
        codings = value.get("coding") or [value]
        texts = [_format_coding(coding) for coding in codings if isinstance(coding, dict)]
        return " with ".join(text for text in texts if text)
    if isinstance(value, list):
        return ""
    return f"'{value}'" if path == "$this" else f"a value with {path} '{value}'"


def _format_coding(coding: dict[str, Any]) -> str:
    """Return `observation-category#laboratory`; "" for what is not a coding."""
    if not isinstance(coding.get("code"), str):
        return ""
    system = str(coding.get("system", "")).rstrip("/").rpartition("/")[2]
    return f"{system}#{coding['code']}"
