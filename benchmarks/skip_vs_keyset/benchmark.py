"""The whole benchmark of skip against keyset: measures the readers, judges keyset, and writes the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common.mongo import describe_machine, scratch
from benchmarks.common.progress import steps
from benchmarks.common.results import result_path, save
from benchmarks.skip_vs_keyset.measuring import Comparison, Setup
from benchmarks.skip_vs_keyset.plot import draw
from benchmarks.skip_vs_keyset.readers import KEYSET
from benchmarks.skip_vs_keyset.tables import show
from engine.settings import Settings, assigned

QUICK = Setup(sizes=(3_000, 9_000), pages=(100, 1_000), repetitions=2, samples=10, most_skipped=300_000)


def measure(uri: str, setup: Setup) -> dict[str, Any]:
    """Measures all readers, and returns the content of the result file."""
    machine = describe_machine(uri, setup.driver)
    with scratch(uri) as database, steps("skip against keyset", Comparison.step_count(setup)) as shown:
        comparison = Comparison(uri, database, setup, shown)
        comparison.run()
    return {
        "benchmark": "skip_vs_keyset",
        "machine": machine,
        "setup": asdict(setup),
        "reads": comparison.reads,
        "churn": comparison.churn,
    }


def complete(result: Mapping[str, Any]) -> bool:
    """Whether the keyset readers read each document exactly once, also while other documents were changed.

    All readers must have read everything while nothing was changed; otherwise their times cannot be compared.
    """
    rows = [row for row in (*result["reads"], *result["churn"]) if row["reader"] in KEYSET]
    exact = not any(row["lost"] or row["repeated"] for row in rows)
    return exact and all(row["estimated"] or row["documents"] == row["size"] for row in result["reads"])


def publish(result: Mapping[str, Any], directory: Path, *, quick: bool) -> None:
    """Writes the result file and the curves, and prints the tables."""
    save(result_path(directory, "skip_vs_keyset", "json", quick=quick), {**result, "quick": quick})
    for suffix in ("png", "svg"):
        draw(result, result_path(directory, "skip_vs_keyset", suffix, quick=quick))
    show(result)


def settings_from(assignments: list[str]) -> dict[str, Any]:
    """Reads settings of the engine from `NAME=VALUE`, and checks them.

    Raises:
        ConfigError: an assignment has no `=`, or the engine does not accept it.
    """
    settings = assigned(assignments)
    Settings(**settings)
    return settings
