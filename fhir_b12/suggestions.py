"""Suggestions for misspelled names: "; did you mean Observation?"."""

import difflib
from collections.abc import Iterable

_LONGEST = 64  #: characters that are compared; the cost grows with the square of the length


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like a misspelled one, None if none is similar.

    Args:
        name: the name as it was written.
        known: the valid names.

    Returns:
        The name itself where it is valid, then one that differs in case alone, then the most
        similar one.

    """
    names = list(known)
    if name in names:
        return name
    folded = {valid.casefold(): valid for valid in reversed(names)}
    if (same := folded.get(name.casefold())) is not None:
        return same
    short = name[:_LONGEST]
    matches = difflib.get_close_matches(short, names, n=1)
    if matches:
        return matches[0]
    matches = difflib.get_close_matches(short.casefold(), folded, n=1)
    return folded[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" to end a message with, "" if no known name is similar.

    Args:
        name: the name as it was written.
        known: the valid names.

    """
    near = closest(name, known)
    return f"; did you mean {near}?" if near is not None else ""


def did_you_mean_or_list(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?", or "; choose one of A, B, C" if no known name is similar.

    Args:
        name: the name as it was written.
        known: the valid names, few enough to be listed.

    """
    names = list(known)
    return did_you_mean(name, names) or f"; choose one of {', '.join(names)}"
