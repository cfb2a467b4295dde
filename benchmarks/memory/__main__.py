"""Measures whether memory grows with the collection: the engine processes 10,000 and 1,000,000 documents.

    python -m benchmarks.memory [--quick] [--uri mongodb://...] [--entities none|one|both]

Each collection is read in a fresh process, with an extractor that answers at once. Nothing slows the engine
down, so its queues are as full as they get. The exit status is 1 if the peak memory of the large collection
is more than 1.5 times that of the small one, or if a run does not reconcile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.common.mongo import Driver, describe_machine, served
from benchmarks.common.results import RESULTS, result_path, save
from benchmarks.memory.benchmark import (
    MOST_RATIO,
    QUICK_SIZES,
    SIZES,
    Entities,
    Setup,
    measure,
    ratios,
    succeeded,
    table,
)
from demo.errors import DemoError

CACHE_GB = 1.0


def main(
    *,
    quick: Annotated[bool, typer.Option(help="2,000 and 20,000 documents.")] = False,
    uri: Annotated[str | None, typer.Option(help="Address of the server; by default one is started.")] = None,
    entities: Annotated[
        Entities, typer.Option(help="What the extractor finds in each text.")
    ] = Entities.BOTH,
    driver: Annotated[Driver, typer.Option(help="Driver that reads.")] = Driver.MOTOR,
    results: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Prints the peak memory for a small and a large collection, and their ratio."""
    setup = Setup(QUICK_SIZES if quick else SIZES, entities.kinds, driver)
    out = Console(width=max(100, Console().width))
    try:
        with served(uri, cache_gb=CACHE_GB) as server:
            machine = describe_machine(server, driver)
            rows = measure(server, setup)
    except DemoError as error:
        out.print(f"[red]{error}")
        raise typer.Exit(2) from None
    result = {"benchmark": "memory", "quick": quick, "machine": machine, "rows": rows, "ratios": ratios(rows)}
    save(result_path(results, "memory", "json", quick=quick), result)
    out.print(table(rows))
    for kind, ratio in ratios(rows).items():
        verdict = "at most" if ratio <= MOST_RATIO else "[red]more than[/]"
        out.print(f"entities {kind}: peak memory grows {ratio:.2f} times, {verdict} {MOST_RATIO}")
    raise typer.Exit(0 if succeeded(rows) else 1)


if __name__ == "__main__":
    typer.run(main)
