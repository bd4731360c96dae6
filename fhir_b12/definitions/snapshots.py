"""Snapshots from differentials.  https://hl7.org/fhir/R4/profiling.html#snapshot"""

from collections.abc import Callable
from typing import Any

from fhir_b12.definitions.faults import DefinitionError

Json = dict[str, Any]


def with_snapshot(definition: Json, known: Callable[[str], Json | None]) -> Json:
    """The definition with a snapshot."""
    raise DefinitionError(f"{definition.get('url')}: has no snapshot, {known}")
