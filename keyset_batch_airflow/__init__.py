"""DAGs and tasks of Airflow for the engine, and a plugin that shows the progress of their runs.

In a DAG file: `from keyset_batch_airflow import backfill_dag`. Read `dags.py` first, then `tasks.py`. The
public names are loaded at first use (PEP 562), because every process of Airflow imports the plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors; a test compares these imports with _PUBLIC
    from keyset_batch_airflow.dags import backfill_dag as backfill_dag
    from keyset_batch_airflow.dags import entities_asset as entities_asset
    from keyset_batch_airflow.dags import extraction_dag as extraction_dag
    from keyset_batch_airflow.dags import incremental_dag as incremental_dag
    from keyset_batch_airflow.dags import replay_dag as replay_dag
    from keyset_batch_airflow.dags import verify_dag as verify_dag
    from keyset_batch_airflow.errors import ServiceOutage as ServiceOutage
    from keyset_batch_airflow.errors import Unfinished as Unfinished
    from keyset_batch_airflow.tasks import DEADLINE_S as DEADLINE_S
    from keyset_batch_airflow.tasks import POOL as POOL
    from keyset_batch_airflow.tasks import conclude as conclude
    from keyset_batch_airflow.tasks import find as find
    from keyset_batch_airflow.tasks import plan as plan
    from keyset_batch_airflow.tasks import repair as repair
    from keyset_batch_airflow.tasks import replay as replay
    from keyset_batch_airflow.tasks import run_range as run_range
    from keyset_batch_airflow.tasks import summarize as summarize

_PUBLIC = {
    "keyset_batch_airflow.dags": (
        "backfill_dag",
        "entities_asset",
        "extraction_dag",
        "incremental_dag",
        "replay_dag",
        "verify_dag",
    ),
    "keyset_batch_airflow.errors": ("ServiceOutage", "Unfinished"),
    "keyset_batch_airflow.tasks": (
        "DEADLINE_S",
        "POOL",
        "conclude",
        "find",
        "plan",
        "repair",
        "replay",
        "run_range",
        "summarize",
    ),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use, and keeps it as an attribute of the package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, whether they have been loaded yet or not, and the other attributes of the package."""
    return sorted({*globals(), *__all__})
