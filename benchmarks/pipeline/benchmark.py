"""The whole pipeline benchmark: measures the scenarios, judges the engine, and writes the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.common.mongo import Driver, describe_machine, scratch
from benchmarks.common.progress import steps
from benchmarks.common.results import result_path, save
from benchmarks.pipeline.measuring import ENGINE_TEXTS, FULL, TEXTS, Measuring
from benchmarks.pipeline.medians import summaries
from benchmarks.pipeline.plot import draw
from benchmarks.pipeline.scenarios import Scenario, Setup
from benchmarks.pipeline.tables import show
from benchmarks.pipeline.verdict import acceptance, recoveries_of
from benchmarks.stub.service import Service

QUICK = Setup(
    documents=3_000,
    singles=100,
    looped=10,
    changed=2_500,
    halved_s=0.2,
    restored_s=0.7,
    poisoned=2,
    narrow=960,
    outage_at_s=0.1,
    outage_s=0.5,
    repetitions=1,
    swept=(8,),
    service=Service(slots=4, queue=64),
)


def measure(
    uri: str, setup: Setup, scenarios: Sequence[Scenario], python: str | None = None
) -> dict[str, Any]:
    """Measures the scenarios, and returns the content of the result file."""
    machine = describe_machine(uri, Driver.MOTOR)
    total = sum(entry.repetitions for scenario in scenarios for entry in scenario.entries)
    with scratch(uri) as database, steps("pipeline", total) as shown:
        rows = list(Measuring(uri, database, shown, python).run(tuple(scenarios)))
    medians = summaries(rows)
    recoveries = _recoveries(rows, medians, setup)
    checks = acceptance(medians, recoveries.get("engine", {}), setup.poisoned)
    return {
        "benchmark": "pipeline",
        "machine": machine,
        "setup": asdict(setup),
        "scenarios": [_described(scenario) for scenario in scenarios],
        "medians": medians,
        "recoveries": recoveries,
        "acceptance": [check.to_json() for check in checks],
        "rows": rows,
    }


def _described(scenario: Scenario) -> dict[str, Any]:
    service = scenario.service
    return {
        "name": scenario.name,
        "label": scenario.label,
        "service": asdict(service),
        "capacity": service.capacity(ENGINE_TEXTS),
    }


def _recoveries(rows: Sequence[Mapping[str, Any]], medians: Any, setup: Setup) -> dict[str, Any]:
    """Computes how fast each candidate recovered; the attainable rate is what the bare loop reaches."""
    slots = setup.service.slots or 1
    changes = ((setup.halved_s, slots // 2), (setup.restored_s, slots))
    bare = [row["share"] for row in medians if (row["scenario"], row["candidate"]) == ("service", "bare")]
    share = (bare[0] if bare else 1) / slots
    halved = {row["candidate"]: row for row in rows if row["scenario"] == "halved"}
    most = {name: setup.service.capacity(FULL.get(name, TEXTS)) or 0 for name in halved}
    return {name: recoveries_of(row, changes, most[name] * share) for name, row in halved.items()}


def publish(result: Mapping[str, Any], directory: Path, *, quick: bool, whole: bool = True) -> None:
    """Writes the result file and the figures, and prints the tables.

    If only a part was measured, the files have names of their own and replace no whole result.
    """
    name = "pipeline" if whole else "pipeline_part"
    save(result_path(directory, name, "json", quick=quick), {**result, "quick": quick})
    for suffix in ("png", "svg"):
        draw(result, result_path(directory, name, suffix, quick=quick))
    show(result)


def complete(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the engine has lost no document and stored no wrong result in any scenario."""
    return not any(row["lost"] or row["wrong"] for row in rows if row["candidate"] == "engine")


def shortened(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """The quick version: the engine in each kind of scenario, the other candidates in the first one only."""
    kept, others = [], scenarios[0].entries
    for scenario in (s for s in scenarios if s.name not in ("client_all", "memory")):
        engine = tuple(entry for entry in scenario.entries if entry.candidate == "engine")
        kept.append(replace(scenario, entries=others or engine))
        others = ()
    return kept


def chosen(scenarios: Sequence[Scenario], only: str | None, candidates: str | None) -> list[Scenario]:
    """Keeps the scenarios and the candidates of these names, which commas separate; None keeps all."""
    kept = [s for s in scenarios if only is None or s.name in only.split(",")]
    names = candidates.split(",") if candidates else None
    return [
        replace(s, entries=tuple(e for e in s.entries if names is None or e.candidate in names)) for s in kept
    ]
