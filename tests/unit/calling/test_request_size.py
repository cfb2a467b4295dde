"""How many requests it takes to learn the largest one that a service takes, in simulated runs."""

from __future__ import annotations

import asyncio
import random

import pytest

from engine import ExtractionError, Failure, Settings
from engine.calling.adaptive_limit import AdaptiveLimit
from engine.calling.concurrency import Slots
from engine.calling.endpoint import Endpoint
from engine.calling.request_size import RequestSize
from engine.storing.checkpoint import MemoryCheckpoints
from tests.support.memory_parts import MemorySource, MemoryWriter, attempt_at
from tests.support.virtual_time import now_s, run_virtually

USUAL = (1, 2, 8, 10, 16, 25, 32, 33, 48, 50, 60, 63)
"""Limits of real services, and those that take the most requests to find. `pytest -m long` tries the rest."""

DOCUMENTS = 6400
TEXTS = [f"text number {n}" for n in range(DOCUMENTS)]
SETTINGS = Settings(min_concurrency=1, max_concurrency=64, batch_texts=64)


class LimitedService:
    """Refuses requests with more than `most` texts; answers after a random time."""

    def __init__(self, most, rng):
        self.most, self.rng, self.sizes = most, rng, []

    async def extract(self, texts):
        """Returns no entities."""
        self.sizes.append(len(texts))
        await asyncio.sleep(self.rng.uniform(0.05, 0.15))
        if len(texts) > self.most:
            raise ExtractionError("HTTP 413", failure=Failure.PERMANENT, status=413)
        return [[] for _ in texts]


async def simulated(most):
    """Runs the documents; returns the sizes of all requests, and what was learnt."""
    rng = random.Random(most)
    service, writer = LimitedService(most, rng), MemoryWriter()
    slots = Slots(AdaptiveLimit(SETTINGS.min_concurrency, SETTINGS.max_concurrency, now_s))
    endpoint = Endpoint(SETTINGS, slots=slots, clock=now_s, rng=rng)
    source = MemorySource(TEXTS, page=1024)
    parts = service, source, writer, MemoryCheckpoints(), SETTINGS
    await (await attempt_at(*parts, endpoint=endpoint)).run()
    assert (len(writer.stored), writer.letters) == (DOCUMENTS, {})
    return service.sizes, list(endpoint.size.notes.values())


@pytest.mark.parametrize(
    "most", [n if n in USUAL else pytest.param(n, marks=pytest.mark.long) for n in range(1, 64)]
)
def test_trap_59_each_limit_of_texts_is_learnt_in_few_requests(most):
    """At most 1.1 times the requests that are needed, and ten; and the note has the exact limit."""
    sizes, notes = run_virtually(simulated(most))
    needed = -(-DOCUMENTS // most)
    assert len(sizes) <= 1.1 * needed + 10
    assert notes == [f"the service takes at most {most} texts a request; set batch_texts={most}"]


@pytest.mark.parametrize("most", [64, 65, 1000])
def test_a_limit_that_is_not_met_costs_nothing(most):
    """Each request has as many texts as it may have."""
    sizes, notes = run_virtually(simulated(most))
    assert (sizes, notes) == ([64] * 100, [])


@pytest.mark.parametrize("texts", [["short"], ["x" * 50_000]])
def test_single_texts_end_the_doubt_too(texts):
    """A service that is sent one text a request only is not called by a few requests at once for ever."""
    size = RequestSize(64, 50_000)
    cuts = 0
    while size.in_doubt:
        size.next_cut()
        size.passed(texts)
        cuts += 1
        assert cuts < 100
    assert cuts > 0


def test_a_search_that_cannot_end_holds_nothing_up():
    """After two long texts together were too much, short texts cannot find out how much is not."""
    size = RequestSize(64, 100_000)
    size.passed(["x" * 6000])
    size.passed(["short"] * 64)
    size.refused(["x" * 6000] * 2, ["x" * 6000])
    cuts = 0
    while size.in_doubt:
        size.next_cut()
        cuts += 1
        assert cuts < 100
    assert cuts > 0
