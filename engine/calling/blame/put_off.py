"""Tells a request that is throttled for what it holds from a service that is busy (trap 53, docs/traps.md).

A service may answer 429 to a request that exceeds its budget alone, however long that waits. It is so if
others get through meanwhile. Then the request is halved, and a text that is put off alone is blamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.calling.circuit_breaker import Probe
from engine.calling.endpoint import Endpoint
from engine.settings import Settings

PROBES = 3
"""Probes that ask whether others get through: a busy service may put off one of them by chance."""

SOON_S = 5.0
"""Seconds after which that is asked by a probe for a request that is larger than any that has passed."""


@dataclass
class PutOff:
    """How long one set of texts has been put off, and whether others got through meanwhile.

    Attributes:
        for_long: whether they, or a request that held them, were put off for `max_throttled_s` meanwhile.
        suspected: whether others got through while a request that held them was put off.
        since_s: when they were put off for the first time.
        successes_before: successes of the endpoint at that time.
        times: how often they were put off.
        ask_at: it is not asked again before they were put off so often.
    """

    for_long: bool = False
    suspected: bool = False
    times: int = 0
    ask_at: int = 0
    since_s: float | None = None
    successes_before: int = 0

    def of_part(self) -> PutOff:
        """What is known of a part of these texts before it is sent."""
        return PutOff(self.for_long, self.suspected)

    def record(self, endpoint: Endpoint) -> None:
        """Records that the service has put these texts off."""
        self.times += 1
        if self.since_s is None:
            self.since_s, self.successes_before = endpoint.clock(), endpoint.successes

    def is_clear(self, texts: Sequence[str], endpoint: Endpoint, settings: Settings) -> bool:
        """Whether it can be told now, before `max_throttled_s` is over, if others get through.

        It can if the request is larger than any that has passed, or part of one that was put off for long.
        """
        alone = len(texts) == 1
        if not self.for_long and (alone or endpoint.size.proven(texts)):
            return False
        enough = settings.max_attempts if alone else settings.tuning.batch_attempts
        if self.times < max(enough, self.ask_at):
            return False
        return self.for_long or endpoint.successes > self.successes_before or self._may_probe(endpoint)

    def _may_probe(self, endpoint: Endpoint) -> bool:
        return self.suspected or endpoint.clock() - (self.since_s or 0.0) >= SOON_S

    async def depends_on_request(
        self, texts: Sequence[str], endpoint: Endpoint, settings: Settings, probe: Probe
    ) -> bool | None:
        """Whether others get through, so that time will not help these texts; None: time may help yet.

        Before a text alone is blamed, a probe has to pass after its last attempt.
        """
        over = endpoint.clock() - (self.since_s or 0.0) >= settings.max_throttled_s
        self.ask_at = 2 * self.times
        passes = len(texts) > 1 and endpoint.successes > self.successes_before
        if over or self.for_long or self._may_probe(endpoint):
            for _ in range(PROBES):
                passes = passes or await probe() is None
        if not passes:
            return False if over else None
        self.for_long, self.suspected = self.for_long or over, True
        return True if self.for_long or not endpoint.size.proven(texts) else None
