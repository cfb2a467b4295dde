"""The window of a DAG run: its params in the trigger form, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import Param

from engine.errors import ConfigError
from engine.keys.order_unit import WAYS, needs_unit
from engine.keys.window import Window

_OPTIONAL: dict[str, Any] = {"type": ["string", "null"], "minLength": 1}
MOMENT = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?$"
"""A moment in ISO-8601, as the engine reads it. The form checks it, so a wrong one does not become a run."""

WINDOW = {
    "start": Param(
        None,
        "First moment of the window, such as 2018-10-01 or 2018-10-01T06:00:00Z (without a zone: UTC). "
        "Empty: from the first document. Or a value of another order type: a number, a string, an ObjectId.",
        title="Start",
        **_OPTIONAL,
    ),
    "end": Param(
        None,
        "First moment after the window. Empty: to the last document that exists when the run is planned; "
        "later documents belong to the next run.",
        title="End",
        **_OPTIONAL,
    ),
}

LOOKBACK = {
    "lookback_hours": Param(
        0,
        "Without start and end, the window is the run's data interval and this many hours before it, for "
        "documents that came late. Documents that already have their entities are not sent again.",
        title="Lookback (hours)",
        type="number",
        minimum=0,
    ),
}


def window_of(params: Mapping[str, Any], dag_run: Any) -> Window:
    """The window that the params *Start* and *End* give; the engine reads them by the param *Order type*.

    If both are empty and the DAG has the param *Lookback*, it is the run's data interval and the lookback
    before it. If both are empty and there is no lookback, it is everything.

    Raises:
        ConfigError: the data interval is needed, and the run has none or an empty one, or the order field
            holds no times and the param *Order unit* does not say how they are written.
    """
    if "lookback_hours" not in params or params["start"] or params["end"]:
        return Window(params["start"], params["end"])
    check_intervals(params["order_type"], params.get("order_unit"))
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    if start is None or start == end:
        raise ConfigError(
            "this run has no data interval: give start and end, or trigger it with a logical date; the DAG's "
            "schedule must be a data interval timetable"
        )
    try:
        return Window(start - timedelta(hours=params["lookback_hours"]), end)
    except OverflowError:  # the lookback reaches before the first year
        return Window(None, end)


def check_intervals(order_type: str, order_unit: str | None) -> None:
    """Refuses data intervals as windows of values that are no times, unless a unit says how to write times.

    Raises:
        ConfigError: the message says what to give.
    """
    if needs_unit(order_type, order_unit):
        raise ConfigError(
            f"a data interval is a time, and order_type is {order_type!r}: give order_unit, which says how "
            f"times are written there ({WAYS[order_type]}), or give start and end"
        )
