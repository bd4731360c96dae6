"""Values that are computed on first use, by one thread at a time."""

from collections.abc import Callable
from functools import cache, wraps
from threading import RLock
from typing import Any, ParamSpec, TypeVar

import msgspec

P = ParamSpec("P")
T = TypeVar("T")
_LOCK = RLock()
_prepared: set[Any] = set()


def once(function: Callable[P, T]) -> Callable[P, T]:
    """Cache the results of a function, and run it once for each argument.

    `functools.cache` may run it twice when two threads call it at once, and return two objects.
    """
    cached: Callable[..., T] = cache(function)

    @wraps(function)
    def locked(*args: P.args, **kwargs: P.kwargs) -> T:
        """Return the cached result; compute it while no other thread does."""
        with _LOCK:
            return cached(*args, **kwargs)

    return locked


def known_to_msgspec(data_type: T) -> T:
    """Return a type after msgspec has inspected it.

    msgspec inspects a struct on first use; two threads that make it inspect the same struct at once
    crash the interpreter.
    """
    if data_type not in _prepared:
        with _LOCK:
            msgspec.json.Decoder(data_type)
            _prepared.add(data_type)
    return data_type
