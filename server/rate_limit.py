"""Limit of the requests per minute of each client.  https://limits.readthedocs.io

https://www.rfc-editor.org/rfc/rfc6585#section-4
"""

import math
import time
from importlib import import_module
from typing import Any

from fhir_b12.server.config import Config
from fhir_b12.server.errors import RequestError


def create_rate_limiter(config: Config) -> "RateLimiter | None":
    """Return the rate limiter that the settings ask for, None if requests are not limited."""
    return RateLimiter(config.rate) if config.rate else None


class RateLimiter:
    """Counts the requests of each client to this process, in a moving window of one minute."""

    def __init__(self, max_requests: int) -> None:
        # an optional dependency
        self._limit: Any = import_module("limits").RateLimitItemPerMinute(max_requests)
        strategies: Any = import_module("limits.strategies")
        storage: Any = import_module("limits.storage")
        self._window = strategies.MovingWindowRateLimiter(storage.MemoryStorage())

    def count_request(self, client: str) -> None:
        """Count a request of a client, given by its id or address.

        Raises:
            RequestError: 429 with Retry-After if the client has sent too many.

        """
        if not self._window.hit(self._limit, client):
            reset = self._window.get_window_stats(self._limit, client).reset_time
            seconds = str(max(1, math.ceil(reset - time.time())))
            message = f"more than {self._limit.amount} requests per minute: retry in {seconds} s"
            raise RequestError(429, "throttled", message, headers={"Retry-After": seconds})
