"""Ids of resources.  https://hl7.org/fhir/R4/datatypes.html#id"""

import re
from typing import Any

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


def is_id(value: Any) -> bool:
    """Return True if a value is a valid resource id: 1 to 64 of `A-Z a-z 0-9 - .`, ASCII only."""
    return isinstance(value, str) and _ID.match(value) is not None
