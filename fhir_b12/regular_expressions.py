r"""Regular expressions whose time grows with the text and no faster.  https://github.com/google/re2/wiki/Syntax

Constraints and value sets come from anyone, and Python's engine may take forever on a pattern such
as `(a+)+b`. RE2 follows all alternatives at once; in return it has no look-around and no back
references. A pattern it cannot run is an error, so that its result is never guessed.

As in Java, the dot matches line ends, and `\d`, `\w`, `\s` and `\b` mean ASCII. Unlike there, `$`
matches at the very end of the text only, not before a last line end.
"""

import re
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

MAX_PATTERN = 2_000  #: characters
MAX_MEMORY = 2 << 20  #: bytes that RE2 may use for one pattern
MAX_WORK = 50_000_000  #: characters times instructions of a pattern: a second when RE2 is slowest
_WORK_PER_STEP = 200
_STEPS_PER_REPLACEMENT = 10

#: an escaped character; RE2 writes `\u00e9` of Java and JavaScript as `\x{00e9}`
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_TEMPLATE = re.compile(r"\\(.)|\$(\d)", re.DOTALL)


class PatternError(ValueError):
    """A regular expression that cannot be run, or not on this text."""


class Pattern:
    """A regular expression compiled by RE2; get one from `compile_pattern`."""

    def __init__(self, source: str) -> None:
        """Compile a pattern.

        Raises:
            PatternError: it is invalid, too long or too large, or needs what RE2 does not have.

        """
        if len(source) > MAX_PATTERN:
            raise PatternError(
                f"the regular expression has more than {MAX_PATTERN} characters: shorten it"
            )
        self.source = source
        self._regex = _compile(source, capture=False)
        self.size: int = self._regex.programsize  #: instructions

    def search(self, text: str) -> bool:
        """Return True if some part of the text matches.

        Raises:
            PatternError: the text is too long for this pattern.

        """
        self.steps(text)
        return self._regex.search(_encode(text)) is not None

    def fullmatch(self, text: str) -> bool:
        """Return True if the whole text matches.

        Raises:
            PatternError: the text is too long for this pattern.

        """
        self.steps(text)
        return self._regex.fullmatch(_encode(text)) is not None

    def replace(
        self, text: str, template: str, spend: Callable[[int], None], max_length: int
    ) -> str:
        r"""Replace each match; in the template `$1` is the first group and `\$` a dollar sign.

        An empty pattern replaces nothing.

        Args:
            text: where to replace.
            template: what to write instead of each match.
            spend: called with the steps of each replacement; may raise to stop.
            max_length: characters that all replacements together may have.

        Returns:
            The text with all matches replaced.

        Raises:
            PatternError: the text is too long, the result would be, or a group is missing.

        """
        if not self.source:
            return text
        self.steps(text)
        _encode(text)
        parts = _parse_template(template, self._capturing.groups)
        pieces: list[str] = []
        end = written = 0
        for match in self._capturing.finditer(text):
            spend(_STEPS_PER_REPLACEMENT)
            start, after = match.span()
            filled = "".join(part if isinstance(part, str) else match[part] or "" for part in parts)
            written += len(filled)
            if written > max_length:
                raise PatternError(f"the result has more than {max_length} characters")
            pieces += (text[end:start], filled)
            end = after
        pieces.append(text[end:])
        return "".join(pieces)

    def steps(self, text: str) -> int:
        """Return the most steps that a search in this text can take, for the caller's budget.

        Raises:
            PatternError: the text is too long for this pattern.

        """
        work = len(text) * self.size
        if work > MAX_WORK:
            raise PatternError(
                "the text is too long for this regular expression: repeat less often in it"
            )
        return 1 + work // _WORK_PER_STEP

    @cached_property
    def _capturing(self) -> Any:
        return _compile(self.source, capture=True)


@lru_cache(maxsize=64)
def compile_pattern(source: str) -> Pattern:
    """Compile a regular expression, or return it from the cache.

    Raises:
        PatternError: it is invalid, too long or too large, or needs what RE2 does not have.

    """
    return Pattern(source)


def _compile(source: str, *, capture: bool) -> Any:
    import re2  # noqa: PLC0415 (half of all programs never meet a pattern)

    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    options.never_capture = not capture
    try:
        return re2.compile(_ESCAPE.sub(_to_re2, source), options)
    except re2.error as error:
        # RE2 ends its reason with the pattern's text, which may come from a patient's data
        reason = error.args[0] if error.args else b""
        words = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(
            f"the regular expression cannot be run ({words.partition(':')[0]}): "
            "use RE2 syntax, without look-around and back references"
        ) from None
    except UnicodeEncodeError:
        raise PatternError("the regular expression has half a surrogate pair") from None


def _to_re2(escape: re.Match[str]) -> str:
    return rf"\x{{{escape[1]}}}" if escape[1] else escape[0]


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise PatternError("the text has half a surrogate pair") from None


def _parse_template(template: str, groups: int) -> list[str | int]:
    """Split a replacement into texts and group numbers."""
    parts: list[str | int] = []
    end = 0
    for sign in _TEMPLATE.finditer(template):
        parts += (template[end : sign.start()], sign[1] or int(sign[2]))
        end = sign.end()
        if not sign[1] and int(sign[2]) > groups:
            raise PatternError(f"the regular expression has no group {sign[2]}")
    parts.append(template[end:])
    return parts
