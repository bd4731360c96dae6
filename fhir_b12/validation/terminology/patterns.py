"""Regular expressions of other people, run only where they are sure to end soon.

A pattern with repeats inside repeats can take longer than the universe to fail. Definitions come
from anywhere, so a pattern counts only if it has few repeats and none inside another.
"""

import re
from functools import lru_cache

_LONGEST_PATTERN = 500
_MOST_REPEATS = 8  #: of any kind, `?` among them
_MOST_OPEN = 2  #: without an upper limit, or with a wide one
_NARROW = 10  #: how far `{n,m}` may reach to count as narrow
LONGEST_TEXT = 200  #: of what is matched

_PARTS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<repeat>[*+?]|\{(?P<least>\d+)(?P<comma>,(?P<most>\d*))?\})[?+]?|.",
    re.DOTALL,
)


@lru_cache(maxsize=256)
def safe(pattern: str) -> re.Pattern[str] | None:
    """The pattern, compiled; None where it could run for long, or is none."""
    if len(pattern) > _LONGEST_PATTERN or not _is_tame(pattern):
        return None
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


def _is_tame(pattern: str) -> bool:
    groups = [False]  # whether each open group holds a repeat or an alternative
    closed = False  # whether the last part was a group that does
    repeats = wide = 0
    for part in _PARTS.finditer(pattern):
        if part["repeat"]:
            if closed and part["repeat"] != "?":
                return False
            groups[-1] = True
            repeats += _is_variable(part)
            wide += _is_wide(part)
        closed = False
        if part["open"]:
            groups.append(False)
        elif part["close"]:
            if len(groups) == 1:
                return False
            closed = groups.pop()
            groups[-1] = groups[-1] or closed
        elif part["or"]:
            groups[-1] = True
        elif re.match(r"\\[1-9kgG]", part[0]) or (part[0] == "?" and not part["repeat"]):
            return False
    return (
        repeats <= _MOST_REPEATS and wide <= _MOST_OPEN and "(?" not in pattern.replace("(?:", "")
    )


def _is_variable(part: re.Match[str]) -> bool:
    return part["least"] is None or part["comma"] is not None


def _is_wide(part: re.Match[str]) -> bool:
    if part["repeat"] in {"*", "+"}:
        return True
    if part["least"] is None or part["comma"] is None:
        return part["least"] is not None and int(part["least"]) > LONGEST_TEXT
    return not part["most"] or int(part["most"]) - int(part["least"]) > _NARROW
