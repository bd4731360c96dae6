"""R4's invariants as functions named by their key.  https://hl7.org/fhir/R4/conformance-rules.html#constraints

`FUNCTIONS["obs-6"](node, context)` is True where the rule holds. The node is what stands at the
invariant's path: an object, or the value itself where the path ends at a primitive (eld-3, ras-1,
txt-1, txt-2). No function raises on a well-shaped node, whatever its values.

Where R4's expression is known to be wrong, the function does what the reference validator does
instead, and says so.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from fhir_b12.validation.invariants import (
    administrative,
    clinical,
    conformance,
    datatypes,
    questionnaires,
    resources,
    structures,
)
from fhir_b12.validation.invariants.predicates import Invariant
from fhir_b12.validation.invariants.resources import find_orphans

__all__ = ["FUNCTIONS", "Invariant", "find_orphans"]

_FAMILIES = (
    administrative,
    clinical,
    conformance,
    datatypes,
    questionnaires,
    resources,
    structures,
)
_KEY = re.compile(r"[a-z]+_\d+[ab]?")

#: Every invariant of R4 by its key.
FUNCTIONS: Mapping[str, Invariant] = MappingProxyType(
    {
        name.replace("_", "-"): function
        for family in _FAMILIES
        for name, function in vars(family).items()
        if _KEY.fullmatch(name)
    }
)
