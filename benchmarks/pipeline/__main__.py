"""The whole pipeline: the engine against what people use instead, on the same real messages.

    python -m benchmarks.pipeline [--quick] [--only service,client] [--candidates engine] [--outage 60]

Each candidate reads chat messages from MongoDB, has a stub service find their entities, and stores them: in a
fresh process, against a fresh stub in a process of its own, interleaved, several times. Printed for each
setting: documents a second, share of the service's capacity, client CPU a document, peak memory, requests,
latency at the service, what is lost and what is wrong.

Exit status 1 if the engine lost a document or stored a wrong result. Other limits are printed, passed or
failed, and change nothing in the exit status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.mongo import Driver, describe_machine, scratch, served
from benchmarks.common.progress import err, steps
from benchmarks.common.results import RESULTS, result_path, save
from benchmarks.pipeline.measuring import ENGINE_TEXTS, FULL, TEXTS, Measuring
from benchmarks.pipeline.medians import summaries
from benchmarks.pipeline.plot import draw
from benchmarks.pipeline.scenarios import Setting, Setup, settings_of
from benchmarks.pipeline.tables import show
from benchmarks.pipeline.verdict import acceptance, recoveries_of
from benchmarks.stub.service import Service
from demo.errors import DemoError

CACHE_GB = 1.0

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


def measure(uri: str, setup: Setup, settings: Sequence[Setting], python: str | None = None) -> dict[str, Any]:
    """Everything that goes into the result file, except how it was called."""
    machine = describe_machine(uri, Driver.MOTOR)
    total = sum(entry.repetitions for setting in settings for entry in setting.entries)
    with scratch(uri) as database, steps("pipeline", total) as shown:
        rows = list(Measuring(uri, database, shown, python).run(tuple(settings)))
    medians = summaries(rows)
    recoveries = _recoveries(rows, medians, setup)
    checks = acceptance(medians, recoveries.get("engine", {}), setup.poisoned)
    return {
        "benchmark": "pipeline",
        "machine": machine,
        "setup": asdict(setup),
        "settings": [_described(setting) for setting in settings],
        "medians": medians,
        "recoveries": recoveries,
        "acceptance": [check.to_json() for check in checks],
        "rows": rows,
    }


def _described(setting: Setting) -> dict[str, Any]:
    service = setting.service
    return {
        "name": setting.name,
        "label": setting.label,
        "service": asdict(service),
        "capacity": service.capacity(ENGINE_TEXTS),
    }


def _recoveries(rows: Sequence[Mapping[str, Any]], medians: Any, setup: Setup) -> dict[str, Any]:
    """How fast each candidate was back; attainable is what the bare loop attains of the capacity."""
    slots = setup.service.slots or 1
    changes = ((setup.halved_s, slots // 2), (setup.restored_s, slots))
    bare = [row["share"] for row in medians if (row["setting"], row["candidate"]) == ("service", "bare")]
    share = (bare[0] if bare else 1) / slots
    halved = {row["candidate"]: row for row in rows if row["setting"] == "halved"}
    most = {name: setup.service.capacity(FULL.get(name, TEXTS)) or 0 for name in halved}
    return {name: recoveries_of(row, changes, most[name] * share) for name, row in halved.items()}


def publish(result: Mapping[str, Any], directory: Path, *, quick: bool, whole: bool = True) -> None:
    """Writes the result file and the figures, and prints the tables.

    What was not measured as a whole goes to files of its own.
    """
    name = "pipeline" if whole else "pipeline_part"
    save(result_path(directory, name, "json", quick=quick), {**result, "quick": quick})
    for suffix in ("png", "svg"):
        draw(result, result_path(directory, name, suffix, quick=quick))
    show(result)


def complete(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the engine has lost nothing and got nothing wrong, in any setting."""
    return not any(row["lost"] or row["wrong"] for row in rows if row["candidate"] == "engine")


def shortened(settings: Sequence[Setting]) -> list[Setting]:
    """What shows that everything works: the engine in each setting of a kind, the others in the first one."""
    kept, others = [], settings[0].entries
    for setting in (s for s in settings if s.name not in ("client_all", "memory")):
        engine = tuple(entry for entry in setting.entries if entry.candidate == "engine")
        kept.append(replace(setting, entries=others or engine))
        others = ()
    return kept


def chosen(settings: Sequence[Setting], only: str | None, candidates: str | None) -> list[Setting]:
    """The settings and candidates of that name."""
    kept = [s for s in settings if only is None or s.name in only.split(",")]
    names = candidates.split(",") if candidates else None
    return [
        replace(s, entries=tuple(e for e in s.entries if names is None or e.candidate in names)) for s in kept
    ]


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Shows in seconds that it works; no numbers to quote.")] = False,
    only: Annotated[str | None, typer.Option(help="Settings, by name, with commas between.")] = None,
    candidates: Annotated[str | None, typer.Option(help="Candidates, by name, with commas between.")] = None,
    outage: Annotated[float | None, typer.Option(min=0, help="Length of the outage in seconds.")] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="How often most are measured.")] = None,
    uri: Annotated[str | None, typer.Option(help="Server to use; by default one is started.")] = None,
    results: Annotated[Path, typer.Option(help="Where the result files go.")] = RESULTS,
    peers_python: Annotated[
        Path | None, typer.Option(help="Interpreter with Beam and Ray; measures them too.")
    ] = None,
) -> None:
    """Compares whole pipelines."""
    setup = QUICK if quick else Setup()
    setup = replace(setup, repetitions=repetitions or setup.repetitions, peers=peers_python is not None)
    setup = replace(setup, outage_s=outage) if outage is not None else setup
    settings: Sequence[Setting] = settings_of(setup)
    settings = chosen(shortened(settings) if quick else settings, only, candidates)
    try:
        with served(uri, cache_gb=CACHE_GB) as server:
            result = measure(server, setup, settings, str(peers_python) if peers_python else None)
    except DemoError as error:
        err.print(f"[red]{error}")
        raise typer.Exit(2) from None
    publish(result, results, quick=quick, whole=only is None and candidates is None)
    raise typer.Exit(0 if complete(result["rows"]) else 1)


if __name__ == "__main__":
    typer.run(main)
