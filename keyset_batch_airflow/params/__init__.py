"""The params of the DAGs: what the trigger form shows, explains and checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Param

from engine.settings import Settings
from keyset_batch_airflow.params.groups import (
    CONNECTIONS,
    DOCUMENTS,
    LETTERS,
    LIMITS,
    PLACES,
    PLANNING,
    REPAIR,
    SERVICE,
)
from keyset_batch_airflow.params.window import LOOKBACK, MOMENT, WINDOW, check_intervals

Group = Mapping[str, Param]
"""Params by name, in the order of the form."""

_EXTRACTION, _ALWAYS = (PLACES, DOCUMENTS, SERVICE), (LIMITS, CONNECTIONS)

BACKFILL = (WINDOW, *_EXTRACTION, PLANNING, *_ALWAYS)
INCREMENTAL = (WINDOW, LOOKBACK, *_EXTRACTION, PLANNING, *_ALWAYS)
REPLAY = (WINDOW, LETTERS, *_EXTRACTION, *_ALWAYS)
VERIFY = (WINDOW, REPAIR, *_EXTRACTION, *_ALWAYS)
SCHEDULED_VERIFY = (WINDOW, LOOKBACK, REPAIR, *_EXTRACTION, *_ALWAYS)
"""The params of each kind of DAG, group by group in the order of the form."""

SETTINGS = tuple(name for group in INCREMENTAL for name in group if name in Settings.model_fields)
"""The params that are settings of the engine under the same name."""


def params_of(groups: Iterable[Group], defaults: Mapping[str, Any]) -> dict[str, Param]:
    """The params of these groups, some with another default.

    Raises:
        ValueError: a default is given for a name that is not a param.
        ParamValidationError: a param does not allow its default.
        ConfigError: the order's type and unit do not fit each other, or data intervals do not fit them.
    """
    params = {name: param for group in groups for name, param in group.items()}
    if unknown := sorted(set(defaults) - set(params)):
        raise ValueError(f"no such param: {', '.join(unknown)}; there are {', '.join(params)}")
    _check_order(defaults, intervals="lookback_hours" in params and not WINDOW.keys() & defaults.keys())
    dated = defaults.get("order_type", "date") == "date"
    for name in params.keys() & {*defaults, *WINDOW}:
        param = params[name]
        more = {"pattern": MOMENT} if dated and name in WINDOW else {}
        params[name] = Param(defaults.get(name, param.value), param.description, **{**param.schema, **more})
        params[name].resolve()
    return params


def _check_order(defaults: Mapping[str, Any], *, intervals: bool) -> None:
    """Checks type and unit of the order where the DAG is parsed, if they are among the defaults."""
    order = {name: defaults[name] for name in ("order_type", "order_unit") if name in defaults}
    if order:
        settings = Settings(**order)
        if intervals:
            check_intervals(settings.order_type, settings.order_unit)
