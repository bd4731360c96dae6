"""A regular expression as an automaton: its time grows with the text and no faster.

https://swtch.com/~rsc/regexp/regexp1.html explains why; all ways are followed at once.
"""

from collections.abc import Callable
from typing import NamedTuple

from fhir_b12.fhirpath.regex import Anchor, Either, One, Row, Shape, Test, Times

LARGEST = 5_000  #: states; a{1,64} has 64
_REMEMBERED = 200_000  #: states in the transitions that one automaton keeps


class TooLargeError(ValueError):
    """The pattern repeats so much that its automaton has too many states."""


class _State(NamedTuple):
    """A state: passes a character that fits, or a place, or branches without one."""

    fits: Test | None
    anchor: str | None
    to: tuple[int, ...]


class _Place(NamedTuple):
    """What stands on either side of a place in the text."""

    start: bool
    end: bool
    word_before: bool
    word_after: bool

    def passes(self, anchor: str) -> bool:
        if anchor in {"start", "end"}:
            return self.start if anchor == "start" else self.end
        return (self.word_before is not self.word_after) is (anchor == "edge")


States = frozenset[int]
_END = -1


class Automaton:
    """Tells whether a text, or a part of it, is as a pattern says."""

    def __init__(self, shape: Shape) -> None:
        self.states: list[_State] = []
        self.first = self._add(shape, _END)
        self._known: dict[tuple[States, str, _Place, bool], States] = {}
        self._size = 0

    def _state(self, fits: Test | None, anchor: str | None, *to: int) -> int:
        if len(self.states) >= LARGEST:
            raise TooLargeError
        self.states.append(_State(fits, anchor, to))
        return len(self.states) - 1

    def _add(self, shape: Shape, then: int) -> int:
        """Build from the end to the beginning: the state at which the shape is entered."""
        if isinstance(shape, One):
            return self._state(shape.fits, None, then)
        if isinstance(shape, Anchor):
            return self._state(None, shape.name, then)
        if isinstance(shape, Row):
            for each in reversed(shape.parts):
                then = self._add(each, then)
            return then
        if isinstance(shape, Either):
            return self._state(None, None, *[self._add(each, then) for each in shape.parts])
        return self._times(shape, then)

    def _times(self, shape: Times, then: int) -> int:
        entry = then
        if shape.most is None:
            entry = self._state(None, None, then)
            inner = self._add(shape.part, entry)
            self.states[entry] = _State(None, None, (inner, then))
        else:
            for _ in range(shape.most - shape.least):
                entry = self._state(None, None, self._add(shape.part, entry), then)
        for _ in range(shape.least):
            inner = self._add(shape.part, entry)
            if inner == entry:  # nothing, however often
                break
            entry = inner
        return entry

    def runs(self, text: str, spend: Callable[[int], None], *, whole: bool) -> bool:
        """Whether the whole text, or some part of it, is as the pattern says."""
        now = self._reached({self.first}, _place(text, 0))
        spend(len(text) // 10)
        for i, sign in enumerate(text):
            if _END in now and not whole:
                return True
            place = _place(text, i + 1)
            mark = (now, sign, place, whole)
            after = self._known.get(mark)
            if after is None:
                spend(len(now))
                after = self._next(now, sign, place, whole=whole)
                self._remember(mark, after)
            now = after
        return _END in now

    def _remember(self, mark: tuple[States, str, _Place, bool], after: States) -> None:
        self._size += 8 + len(after)
        if self._size > _REMEMBERED:
            self._known.clear()
            self._size = 0
        self._known[mark] = after

    def _next(self, now: States, sign: str, place: _Place, *, whole: bool) -> States:
        passed = {
            self.states[each].to[0]
            for each in now
            if each != _END and (fits := self.states[each].fits) is not None and fits(sign)
        }
        if not whole:
            passed.add(self.first)
        return self._reached(passed, place)

    def _reached(self, begun: set[int], place: _Place) -> States:
        """The states and all that can be entered from them without a character."""
        found: set[int] = set()
        rest = list(begun)
        while rest:
            each = rest.pop()
            if each in found:
                continue
            found.add(each)
            if each != _END:
                fits, anchor, to = self.states[each]
                if fits is None and (anchor is None or place.passes(anchor)):
                    rest += to
        return frozenset(found)


def _is_word(sign: str) -> bool:
    return sign.isascii() and (sign.isalnum() or sign == "_")


def _place(text: str, at: int) -> _Place:
    end = at == len(text) or (at == len(text) - 1 and text[at] == "\n")
    before, after = at > 0 and _is_word(text[at - 1]), at < len(text) and _is_word(text[at])
    return _Place(at == 0, end, before, after)
