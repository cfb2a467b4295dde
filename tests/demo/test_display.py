"""What the demo shows without a terminal."""

import io

import pytest
from rich.console import Console

from demo.display import Display


@pytest.fixture
def output():
    """Where the display writes; no terminal."""
    return io.StringIO()


@pytest.fixture
def display(output):
    """A display whose clock goes on two seconds each time it is read."""
    now = iter(range(0, 100, 2))
    return Display(Console(file=output), clock=lambda: next(now), interval_s=5.0)


def test_a_finished_step_is_one_line_with_its_duration(display, output):
    """Started at 0, finished at 2 by the clock of the test."""
    with display, display.step("MongoDB") as step:
        step.note = "up"
    assert output.getvalue() == "✓ MongoDB (2 s) up\n"
    assert display.durations_s == {"MongoDB": 2}


def test_progress_is_a_line_every_few_seconds(display, output):
    """Twenty updates at least two seconds apart are no twenty lines."""
    with display, display.step("extraction") as step:
        for done in range(20):
            step.update(f"{done} of 20", done=done, total=20)
    lines = output.getvalue().splitlines()
    assert 3 < len(lines) < 12
    assert all(line.startswith("  extraction: ") for line in lines[:-1])


def test_a_failed_step_is_not_called_finished(display, output):
    """Its exception goes on, without a tick."""
    with pytest.raises(ZeroDivisionError), display, display.step("MongoDB"):
        raise ZeroDivisionError
    assert "✓" not in output.getvalue()
    assert not display.durations_s
