"""Repeats in the stages of a range, on virtual time: however it ends, batches that wait do not hold it up."""

from __future__ import annotations

import asyncio

import pytest

from engine import ConfigError, Settings, Status
from engine.errors import ServiceDown
from tests.support.memory_parts import MemorySource, MemoryWriter, Watched, attempt_at
from tests.support.settings import settings_with
from tests.support.virtual_time import now_s, run_virtually

TEXTS = ["same" if n % 4 == 0 else f"text {n}" for n in range(64)]
"""Every page has the first text again, and the batch that sends it takes longest."""
SMALL = Settings(batch_texts=3, min_concurrency=8, max_concurrency=8, checkpoint_s=0)


class Service:
    """Finds no entities; the text that all pages share takes ten seconds, and may fail.

    Attributes:
        sent: every text, as often as it came.
    """

    def __init__(self, error=None):
        self.error, self.sent = error, []

    async def extract(self, texts):
        """Answers with no entities."""
        self.sent += texts
        if "same" in texts:
            await asyncio.sleep(10.0)
            if self.error:
                raise self.error
        return [[] for _ in texts]


def ended(service, **settings):
    """Runs the range; returns its status and how long it took."""

    async def main():
        written = MemoryWriter()
        settings_ = settings_with(SMALL, **settings)
        attempt = await attempt_at(service, MemorySource(TEXTS), written, Watched(written), settings_)
        began_s = now_s()
        try:
            return await attempt.run(), now_s() - began_s
        finally:
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return run_virtually(main())


def test_all_wait_for_one_answer_and_each_text_is_sent_once():
    """Of sixteen batches one is slow: the range takes as long as that one."""
    service = Service()
    status, took_s = ended(service)
    assert (status, sorted(service.sent)) == (Status.SUCCEEDED, sorted(set(TEXTS)))
    assert took_s < 11


def test_after_an_outage_no_batch_that_waits_sends_the_text_again():
    """They end with the range; if each sent the text in turn, that would take ten seconds each."""
    service = Service(ServiceDown("down"))
    status, took_s = ended(service)
    assert (status, service.sent.count("same")) == (Status.INTERRUPTED, 1)
    assert took_s < 11


def test_a_range_that_ends_at_its_deadline_leaves_no_batch_waiting():
    """The batch that sends the text is cancelled, and so are the batches that wait for it."""
    service = Service()
    status, took_s = ended(service, deadline_s=2.0, drain_s=1.0)
    assert (status, service.sent.count("same")) == (Status.INTERRUPTED, 1)
    assert took_s < 4


def test_trap_32_an_error_of_the_batch_that_sends_ends_those_that_wait():
    """The range fails with that error."""
    with pytest.raises(ConfigError):
        ended(Service(ConfigError("no")))
