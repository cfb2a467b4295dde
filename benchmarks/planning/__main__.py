"""Compares ways of cutting a collection into ranges: the engine's strategies and those of other tools.

    python -m benchmarks.planning [--quick | --large] [--uri mongodb://...] [--repetitions N]

Collections of 100,000 to 1,000,000 documents (with `--large` also 5,000,000) are cut into about 100 ranges.
The tables show the time (median of interleaved repetitions) as a multiple of one count of all documents by
COUNT_SCAN; how unequal the ranges are, by counting them; and how many documents of collections of mixed BSON
types are lost when the ranges are read by query operators or by the engine.

The exit status is 1 if a strategy of the engine lost or repeated a document, or miscounted a range. Limits of
its time and skew are printed as passed or failed, and do not affect it.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.mongo import Driver, served
from benchmarks.common.progress import err
from benchmarks.common.results import RESULTS
from benchmarks.planning.benchmark import QUICK, measure, publish
from benchmarks.planning.measuring import Setup, complete
from demo.errors import DemoError

CACHE_GB = 2.0
"""Everything fits into memory: the benchmark measures the work, not the disk."""

LARGE = (5_000_000,)


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Only shows that it works, in seconds.")] = False,
    large: Annotated[bool, typer.Option(help="Measure 5,000,000 documents too.")] = False,
    uri: Annotated[str | None, typer.Option(help="Address of the server; by default one is started.")] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="How often each way is timed.")] = None,
    driver: Annotated[Driver, typer.Option(help="The driver to plan with.")] = Driver.MOTOR,
    results: Annotated[Path, typer.Option(help="Folder of the result files.")] = RESULTS,
) -> None:
    """Compares ways of cutting a collection into ranges."""
    setup = replace(QUICK if quick else Setup(), driver=driver)
    setup = replace(setup, repetitions=repetitions or setup.repetitions)
    setup = replace(setup, sizes=(*setup.sizes, *LARGE)) if large else setup
    # Modules for plotting and the command line are excluded from garbage collections during a measurement.
    gc.collect()
    gc.freeze()
    try:
        with served(uri, cache_gb=CACHE_GB) as server:
            result = measure(server, setup)
    except DemoError as error:
        err.print(f"[red]{error}")
        raise typer.Exit(2) from None
    publish(result, results, quick=quick)
    raise typer.Exit(0 if complete(result["times"], result["mixed"]) else 1)


if __name__ == "__main__":
    typer.run(main)
