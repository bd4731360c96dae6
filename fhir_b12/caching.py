"""What is made when it is first asked for, by one thread at a time."""

from collections.abc import Callable
from functools import cache, wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar

import msgspec

P = ParamSpec("P")
T = TypeVar("T")
_MAKING = RLock()
_learned: set[Any] = set()


def once(make: Callable[P, T]) -> Callable[P, T]:
    """As `functools.cache`, which threads that ask at once give one object each: here it is one."""
    made: Callable[..., T] = cache(make)

    @wraps(make)
    def asked(*key: P.args, **named: P.kwargs) -> T:
        with _MAKING:
            return made(*key, **named)

    return asked


def learned(kind: T) -> T:
    """The type given, when msgspec knows all of it.

    It learns a struct when one is first read; two threads that make it learn the same one crash
    the interpreter.
    """
    if kind not in _learned:
        with _MAKING:
            msgspec.json.Decoder(kind)
            _learned.add(kind)
    return kind
