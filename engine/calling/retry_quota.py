"""A budget of retries, counted in tokens, so that a failing service is not flooded with retries. Pure.

Costs and gains are those of botocore (`botocore/retries/quota.py`, and `standard.py` in its mode 2.1): 500
tokens, 14 for a transient retry, 5 for a throttled one. A success gives back what its last retry took, or 1
token if it needed no retry. There are two differences:

- Where botocore gives up a request when no tokens are left, a retry here waits for them: no document is lost.
- Tokens also come back with time, enough for 10 transient retries a second, as in Finagle (`RetryBudget`).
  Otherwise calls that all wait for tokens would wait forever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.errors import Failure

COSTS = {Failure.TRANSIENT: 14, Failure.THROTTLED: 5}
SUCCESS_GAIN = 1
RETRIES_PER_S = 10
"""Transient retries a second that are paid for by time alone."""


class RetryQuota:
    """The tokens of one range.

    At most `capacity / 14 + successes / 14 + 10 a second` retries fail; retries that succeed give back what
    they took.

    Args:
        capacity: the tokens at the start, and the most there can be.
        clock: monotonic seconds.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(capacity)
        self._tokens = self._capacity  # below zero while retries wait for tokens
        self._clock = clock
        self._filled_at = clock()

    def take(self, failure: Failure) -> float:
        """Takes the tokens of a retry; returns how many seconds to wait until they are available."""
        self._fill()
        self._tokens -= COSTS[failure]
        return max(0.0, -self._tokens / self._per_second)

    def give_back(self, tokens: int) -> None:
        """Returns tokens after a success: those of its last retry, or `SUCCESS_GAIN`."""
        if self._tokens < self._capacity:
            self._tokens = min(self._capacity, self._tokens + tokens)

    @property
    def _per_second(self) -> float:
        return float(RETRIES_PER_S * COSTS[Failure.TRANSIENT])

    def _fill(self) -> None:
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens, self._filled_at = min(self._capacity, self._tokens + gained), now
