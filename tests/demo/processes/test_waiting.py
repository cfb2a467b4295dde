"""Waiting for a server, with a simulated clock."""

import pytest

from demo.errors import DemoError
from demo.processes.waiting import wait_for


class Clock:
    """Time that passes only by sleeping."""

    now = 0.0

    def __call__(self):
        """Returns the current time."""
        return self.now

    def sleep(self, seconds):
        """Lets time pass."""
        self.now += seconds


@pytest.fixture
def clock():
    """A clock at 0."""
    return Clock()


def test_the_first_answer_ends_the_waiting(clock):
    """None means "not yet". Any other value is the answer, also False."""
    answers = iter([None, None, False])
    assert wait_for(lambda: next(answers), "it", timeout_s=9, clock=clock, sleep=clock.sleep) is False
    assert clock.now == pytest.approx(0.4)


def test_waiting_ends_at_the_time_limit(clock):
    """The message names the server that was not ready."""
    with pytest.raises(DemoError, match="the moon was not ready after 9 s"):
        wait_for(lambda: None, "the moon", timeout_s=9, clock=clock, sleep=clock.sleep)
    assert clock.now == pytest.approx(9.0)


def test_a_dead_server_is_not_waited_for(clock):
    """An error that `check` raises ends the waiting at once."""

    def check():
        raise DemoError("it died")

    with pytest.raises(DemoError, match="it died"):
        wait_for(lambda: None, "it", timeout_s=9, check=check, clock=clock, sleep=clock.sleep)
    assert clock.now == 0.0
