"""The invariants of R4 as functions.  https://hl7.org/fhir/R4/conformance-rules.html#constraints

`FUNCTIONS["obs-6"](node, context)` returns True if the invariant holds. The node is the element at
the path of the invariant: an object, or a value if the path ends at a primitive (eld-3, ras-1,
txt-1, txt-2). No function raises on a well-shaped node, whatever its values. The docstring of a
function states the rule.

If R4's expression is known to be wrong, the function follows the reference validator instead, as
its docstring states. "Undecidable is broken" means that FHIRPath's result is empty, which counts as
false.
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
