"""The Prefer header.  https://www.rfc-editor.org/rfc/rfc7240"""

import re
from functools import lru_cache

from flask import Request


@lru_cache(maxsize=256)
def parse_prefer(header: str) -> dict[str, str]:
    """Return the preferences of a Prefer header, `{"return": "minimal"}`; the first of a name."""
    preferences: dict[str, str] = {}
    for part in re.split("[,;]", header):
        name, _, value = part.partition("=")
        preferences.setdefault(name.strip().lower(), value.strip().strip('"'))
    return preferences


def preference(request: Request, name: str) -> str:
    """Return one preference of a request, in lower case; empty if missing."""
    header = request.environ.get("HTTP_PREFER")
    return parse_prefer(header).get(name, "").lower() if header else ""
