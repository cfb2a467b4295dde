"""The scales and lines of the charts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.reporting.charts import steps_path, ticks, time_ticks


@given(st.floats(1e-3, 1e9))
def test_axes_end_at_or_above_the_most(most):
    """They begin at zero and have a few round steps."""
    marks = ticks(most)
    assert marks[0] == 0
    assert marks[-1] >= most * (1 - 1e-9)
    assert 2 <= len(marks) <= 6
    assert len(time_ticks(most)) <= 7 or most > 140 * 86_400


def test_steps_are_drawn_from_left_to_right():
    """There is a step for each value; a filled line goes down to the axis at both ends."""
    assert steps_path([0, 5, 10], 10, filled=False) == "M0 200.0V200.0H333.3V100.0H666.7V0.0H1000.0"
    assert steps_path([10], 10, filled=True) == "M0 200V0.0H1000.0V200Z"
