"""Faults in any order leave the same final state as a run without faults, and the counts reconcile.

A state machine over one range with its parts in memory, on virtual time. Requests end when a rule says so,
with an answer or a transient error. In between, the attempt is cancelled, killed or refused a write, and
begun again.
At each saved checkpoint `Watched` checks that the position is not ahead of what is durable.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine import ExtractionError, Failure, Settings, Status, Tuning, WriteError
from engine.calling.endpoint import PROBE_TEXT
from engine.running import progress_tracker
from engine.running.progress_tracker import report_of
from tests.support.memory_parts import MemorySource, MemoryWriter, Watched, attempt_at
from tests.support.virtual_time import VirtualLoop

PAGE, BATCH = 4, 3
SMALL = Settings(
    batch_texts=BATCH,
    min_concurrency=3,  # a constant limit, because an adapting one depends on real time
    max_concurrency=3,
    checkpoint_s=0,
    max_attempts=6,
    request_timeout_s=1e9,  # each step takes 100 s: a request that is answered late must not be blamed for it
    tuning=Tuning(write_documents=4, max_ahead_batches=4, max_retry_s=1e9),
)
MOST_ALONE = 4
"""The most random faults of a single text: with more of them than attempts it would rightly be blamed."""
A_FAILURE_COSTS = 3
"""The requests that one failure causes: the same again, or its halves, and a probe."""
PASSING = {
    "connection": ConnectionError("reset"),
    "timeout": TimeoutError(),
    "503": ExtractionError("HTTP 503", failure=Failure.TRANSIENT, status=503),
    "429": ExtractionError("HTTP 429", failure=Failure.THROTTLED, status=429, retry_after_s=2.0),
}
CRASH = ExtractionError("HTTP 500", failure=Failure.TRANSIENT, status=500)


class Service:
    """Holds each request until the machine decides about it."""

    def __init__(self, poison):
        self.poison, self.pending = poison, []
        self.requests = self.failures = 0
        self.alone = Counter()

    async def extract(self, texts):
        """Waits for the machine to answer or fail the request."""
        self.requests += 1
        request = (list(texts), asyncio.get_running_loop().create_future())
        self.pending.append(request)
        try:
            return await request[1]
        finally:
            if request in self.pending:
                self.pending.remove(request)

    def answer(self, at):
        """Answers with no entities, or crashes on poison."""
        texts, future = self.pending.pop(at)
        if self.poison & set(texts):
            self.failures += 1
            future.set_exception(CRASH)
        else:
            future.set_result([[] for _ in texts])

    def fail(self, at, error):
        """Fails the request with an error that will pass, unless a single text has had its share of those."""
        texts, future = self.pending[at]
        if len(texts) == 1 and texts[0] != PROBE_TEXT:
            if self.alone[texts[0]] == MOST_ALONE:
                return
            self.alone[texts[0]] += 1
        del self.pending[at]
        self.failures += 1
        future.set_exception(error)


class Killable(Watched):
    """Checkpoints of a process that can be killed; after that they save nothing."""

    killed = False

    async def save(self, checkpoint):
        """Saves unless the process was killed."""
        if not self.killed:
            await super().save(checkpoint)


class RefusingWriter(MemoryWriter):
    """A target that refuses the next write if the machine says so."""

    refuses = False

    async def write(self, extractions, dead_letters):
        """Writes everything or nothing."""
        if self.refuses:
            self.refuses = False
            raise WriteError("not now")
        return await super().write(extractions, dead_letters)


class PipelineMachine(RuleBasedStateMachine):
    """One range, from its first attempt to its end."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        # Each step lets 100 virtual seconds pass: ten readings a second would take most of the time.
        self.patch.setattr(progress_tracker, "READ_EVERY_S", 10.0)
        self.loop = VirtualLoop()
        self.writer = RefusingWriter()
        self.kept = Killable(self.writer)
        self.attempt = self.task = None

    @initialize(count=st.integers(0, 14), poison=st.sets(st.integers(0, 13), max_size=3))
    def documents(self, count, poison):
        """Makes the range: some documents, a few of them poison."""
        self.texts = [f"text {n}" for n in range(count)]
        self.poison = {n for n in poison if n < count}
        self.service = Service({f"text {n}" for n in self.poison})
        self.begin()

    @precondition(lambda self: self.task is None)
    @rule()
    def begin(self):
        """Begins the next attempt, from the last checkpoint."""
        self.requests_before, self.failures_before = self.service.requests, self.service.failures
        self.kept.killed = False
        source = MemorySource(self.texts, PAGE)
        rng = random.Random(1)  # the same rules give the same run
        self.attempt = self.loop.run_until_complete(
            attempt_at(self.service, source, self.writer, self.kept, SMALL, rng=rng)
        )
        self.task = self.loop.create_task(self.attempt.run())
        self.settle()

    @precondition(lambda self: self.task is not None and self.service.pending)
    @rule(at=st.integers(0, 100))
    def answer(self, at):
        """Answers any request in flight."""
        self.service.answer(at % len(self.service.pending))
        self.settle()

    @precondition(lambda self: self.task is not None and self.service.pending)
    @rule(at=st.integers(0, 100), how=st.sampled_from(sorted(PASSING)))
    def fail(self, at, how):
        """Fails any request in flight."""
        self.service.fail(at % len(self.service.pending), PASSING[how])
        self.settle()

    @precondition(lambda self: self.task is not None and self.service.pending)
    @rule(how=st.sampled_from(sorted(PASSING)))
    def fail_all(self, how):
        """Fails all requests in flight, and the probes and retries that follow: an outage."""
        for _ in range(3):
            for at in reversed(range(len(self.service.pending))):
                self.service.fail(at, PASSING[how])
            self.settle()

    @precondition(lambda self: self.task is not None)
    @rule(killed=st.booleans())
    def crash(self, killed):
        """Cancels the attempt, which may save its checkpoint; or kills it, so that it may not."""
        self.kept.killed = killed
        self.task.cancel()
        self.settle()

    @rule()
    def refuse_a_write(self):
        """Makes the target refuse the next write, which fails the attempt."""
        self.writer.refuses = True

    def settle(self):
        """Lets everything happen that needs no answer of the service."""
        self.loop.run_until_complete(asyncio.sleep(100))
        self.check_requests()
        if self.task is not None and self.task.done():
            self.ended()

    def check_requests(self):
        """Checks that no more was sent than one request a batch and a few for each failure."""
        needed = (len(self.texts) + PAGE - 1) // PAGE * ((PAGE + BATCH - 1) // BATCH)
        failures = self.service.failures - self.failures_before
        requests = self.service.requests - self.requests_before
        assert requests <= needed + A_FAILURE_COSTS * failures

    def ended(self):
        """Checks that the attempt ended by success, an interruption or the write error of this machine."""
        if not self.task.cancelled():
            error = self.task.exception()
            assert error is None or isinstance(error, WriteError), repr(error)
        self.task = None
        assert not self.service.pending

    def teardown(self):
        """Runs the range to its end without faults, and checks that the final state is right."""
        try:
            if hasattr(self, "texts"):
                self.run_to_its_end()
        finally:
            self.patch.undo()
            self.loop.close()

    def run_to_its_end(self):
        """Answers all requests, in as many attempts as it takes, and checks the final state."""
        for _ in range(1000):
            if self.task is None and self.attempt.checkpoint.status is Status.SUCCEEDED:
                break
            self.answer(0) if self.task and self.service.pending else self.settle()
            if self.task is None and self.attempt.checkpoint.status is not Status.SUCCEEDED:
                self.begin()
        checkpoint = self.attempt.checkpoint
        report = report_of(checkpoint)
        assert (report.status, report.reconciled, report.read) == (Status.SUCCEEDED, True, len(self.texts))
        assert report.written + report.unchanged == len(self.texts) - len(self.poison)
        assert set(self.writer.stored) == set(range(len(self.texts))) - self.poison
        assert set(self.writer.letters) == self.poison


TestPipelineMachine = PipelineMachine.TestCase
TestPipelineMachine.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
