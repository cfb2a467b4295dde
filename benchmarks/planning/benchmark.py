"""The whole planning benchmark: measures the ways of planning, and writes the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common.mongo import describe_machine, scratch
from benchmarks.common.progress import steps
from benchmarks.common.results import result_path, save
from benchmarks.planning.measuring import Planning, Setup
from benchmarks.planning.plot import draw
from benchmarks.planning.tables import acceptance, show

QUICK = Setup(sizes=(10_000, 30_000), repetitions=2)
"""The quick version. Smaller collections are not split by splitVector."""


def measure(uri: str, setup: Setup) -> dict[str, Any]:
    """Measures the ways of planning, and returns the content of the result file."""
    machine = describe_machine(uri, setup.driver)
    with scratch(uri) as database, steps("planning", Planning.step_count(setup)) as shown:
        planning = Planning(uri, database, setup, shown)
        planning.run()
    return {
        "benchmark": "planning",
        "machine": machine,
        "setup": asdict(setup),
        "times": planning.times,
        "mixed": planning.mixed,
        "acceptance": [{**asdict(check), "passed": check.passed} for check in acceptance(planning.times)],
    }


def publish(result: Mapping[str, Any], directory: Path, *, quick: bool) -> None:
    """Writes the result file and the curves, and prints the tables."""
    save(result_path(directory, "planning", "json", quick=quick), {**result, "quick": quick})
    for suffix in ("png", "svg"):
        draw(result, result_path(directory, "planning", suffix, quick=quick))
    show(result)
