"""A token bucket. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TokenBucket:
    """Lets through `burst` events at once and `rate_per_s` a second in the long run."""

    rate_per_s: float
    burst: float
    tokens: float
    filled_s: float

    def take(self, now_s: float) -> bool:
        """Whether one more event may pass at `now_s` (seconds, monotonic); takes its token if so."""
        self.tokens = min(self.burst, self.tokens + max(0.0, now_s - self.filled_s) * self.rate_per_s)
        self.filled_s = max(self.filled_s, now_s)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
