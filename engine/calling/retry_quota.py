"""A budget of retries, in tokens, so that a failing service is not asked many times over. Pure.

Costs and gains are those of botocore (`botocore/retries/quota.py`, and `standard.py` in its mode 2.1): 500
tokens, 14 for a transient retry, 5 for a throttled one; a success gives back what its last retry took, or 1
if it needed none. Where botocore gives a request up when no tokens are left, a retry here waits until they
have come back, so no document is lost to it. That they come back also while nothing succeeds is Finagle's
(`RetryBudget`, 10 retries a second on top of its share): calls that all wait for tokens would wait for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.errors import Failure

COSTS = {Failure.TRANSIENT: 14, Failure.THROTTLED: 5}
SUCCESS_GAIN = 1
RETRIES_PER_S = 10
"""Transient retries that time alone pays for."""


class RetryQuota:
    """The tokens of one range.

    Retries that fail are at most `capacity / 14 + successes / 14 + 10 a second`; those that succeed give back
    what they took.

    Args:
        capacity: tokens at the start, and at most.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(capacity)
        self._tokens = self._capacity
        self._clock = clock
        self._filled_at = clock()

    @property
    def tokens(self) -> float:
        """What is left; below zero when retries wait for tokens that are to come."""
        return self._tokens

    def take(self, failure: Failure) -> float:
        """Takes the tokens of a retry; returns the seconds until they are there, 0 if they are."""
        self._fill()
        self._tokens -= COSTS[failure]
        return max(0.0, -self._tokens / self._per_second)

    def give_back(self, tokens: int) -> None:
        """A call has succeeded: returns what its last retry took, or `SUCCESS_GAIN`."""
        if self._tokens < self._capacity:
            self._tokens = min(self._capacity, self._tokens + tokens)

    @property
    def _per_second(self) -> float:
        return float(RETRIES_PER_S * COSTS[Failure.TRANSIENT])

    def _fill(self) -> None:
        now = self._clock()
        gained = (now - self._filled_at) * self._per_second
        self._tokens, self._filled_at = min(self._capacity, self._tokens + gained), now
