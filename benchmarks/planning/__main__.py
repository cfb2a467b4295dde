"""Cutting a collection into ranges: the engine's strategies against what other tools do.

    python -m benchmarks.planning [--quick | --large] [--uri mongodb://...] [--repetitions N]

For collections of 100,000 to 1,000,000 documents (`--large`: 5,000,000 too) in about 100 ranges: time (median
of interleaved repetitions) next to one count of all by COUNT_SCAN; how unequal the ranges are, by counting
them; and what is lost of collections of mixed BSON types, read by query operators or by the engine.

Exit status 1 if a strategy of the engine lost or repeated a document, or miscounted a range. Limits of
its time and skew are printed, passed or failed, and change nothing in the exit status.
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
    quick: Annotated[bool, typer.Option(help="Shows in seconds that it works; no numbers to quote.")] = False,
    large: Annotated[bool, typer.Option(help="5,000,000 documents too.")] = False,
    uri: Annotated[str | None, typer.Option(help="Server to use; by default one is started.")] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="How often each way is timed.")] = None,
    driver: Annotated[Driver, typer.Option(help="Driver that plans.")] = Driver.MOTOR,
    results: Annotated[Path, typer.Option(help="Where the result files go.")] = RESULTS,
) -> None:
    """Compares ways of planning."""
    setup = replace(QUICK if quick else Setup(), driver=driver)
    setup = replace(setup, repetitions=repetitions or setup.repetitions)
    setup = replace(setup, sizes=(*setup.sizes, *LARGE)) if large else setup
    # What plotting and the command line have loaded stays out of garbage collections in the midst of a plan.
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
