"""How often a client may ask, where the site bounds that.  https://limits.readthedocs.io

https://www.rfc-editor.org/rfc/rfc6585#section-4
"""

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from fhir_b12.server.errors import refuse


class Rate:
    """So many requests in any minute, for each client of this process."""

    def __init__(self, most: int) -> None:
        self._bound = RateLimitItemPerMinute(most)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def hold(self, client: str) -> None:
        """Count a request; Refusal 429 where it is one too many, with when it may be sent again."""
        if not self._window.hit(self._bound, client):
            free = self._window.get_window_stats(self._bound, client).reset_time
            message = f"more than {self._bound.amount} requests in a minute; send it again later"
            wait = max(1, math.ceil(free - time.time()))
            raise refuse(429, "throttled", message, Retry_After=str(wait))
