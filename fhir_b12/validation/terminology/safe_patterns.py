"""Regular expressions from untrusted definitions, compiled only if they end in bounded time.

A pattern with nested quantifiers can backtrack for longer than anyone can wait. Only patterns with
few quantifiers and without nesting are accepted.
"""

import re
from functools import lru_cache

_MAX_PATTERN = 500
_MAX_QUANTIFIERS = 8  #: of any sort, including `?`
_MAX_WIDE = 2  #: quantifiers without an upper limit, or with a wide range
_NARROW = 10  #: range of `{n,m}` that does not count as wide
MAX_TEXT = 200  #: characters of the text that is matched

_PARTS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<quantifier>[*+?]|\{(?P<lower>\d+)(?P<comma>,(?P<upper>\d*))?\})[?+]?|.",
    re.DOTALL,
)


@lru_cache(maxsize=256)
def compile_safe(pattern: str) -> re.Pattern[str] | None:
    """Return the compiled pattern, None if it is invalid or could run for long."""
    if len(pattern) > _MAX_PATTERN or not _is_bounded(pattern):
        return None
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return None


def _is_bounded(pattern: str) -> bool:
    groups = [False]  # whether each open group contains a quantifier or an alternative
    closed = False  # whether the last part was such a group
    quantifiers = wide = 0
    for part in _PARTS.finditer(pattern):
        if part["quantifier"]:
            if closed and part["quantifier"] != "?":
                return False
            groups[-1] = True
            quantifiers += _is_variable(part)
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
        elif re.match(r"\\[1-9kgG]", part[0]) or (part[0] == "?" and not part["quantifier"]):
            return False
    return (
        quantifiers <= _MAX_QUANTIFIERS
        and wide <= _MAX_WIDE
        and "(?" not in pattern.replace("(?:", "")
    )


def _is_variable(part: re.Match[str]) -> bool:
    return part["lower"] is None or part["comma"] is not None


def _is_wide(part: re.Match[str]) -> bool:
    if part["quantifier"] in {"*", "+"}:
        return True
    if part["lower"] is None or part["comma"] is None:
        return part["lower"] is not None and int(part["lower"]) > MAX_TEXT
    return not part["upper"] or int(part["upper"]) - int(part["lower"]) > _NARROW
