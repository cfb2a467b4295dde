"""Compares ways of reading a collection in pages: `skip`/`limit`, keyset, and one cursor as the limit.

    python -m benchmarks.skip_vs_keyset [--quick | --large] [--uri mongodb://...] [--set NAME=VALUE]

Collections of 100,000 to 1,000,000 documents (with `--large` also 5,000,000) are read in pages of 1,000 and
10,000. The tables show the time (median of interleaved repetitions), the index keys and documents that the
server examines (by its profiler), and how many documents are lost or read twice when 1% of them are deleted
or inserted meanwhile. Where skipping would pass over more than 50 million documents, only pages at 40 depths
are read, and the total is marked as estimated.

The exit status is 1 if a keyset reader did not read each document exactly once.
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
from benchmarks.skip_vs_keyset.benchmark import QUICK, complete, measure, publish, settings_from
from benchmarks.skip_vs_keyset.measuring import Setup
from demo.errors import DemoError
from engine.errors import ConfigError

CACHE_GB = 2.0
"""Everything fits into memory: the benchmark measures the work, not the disk."""

LARGE = (5_000_000,)


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Only shows that it works, in seconds.")] = False,
    large: Annotated[bool, typer.Option(help="Measure 5,000,000 documents too.")] = False,
    uri: Annotated[str | None, typer.Option(help="Address of the server; by default one is started.")] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="How often each read is timed.")] = None,
    driver: Annotated[Driver, typer.Option(help="The driver to read with.")] = Driver.MOTOR,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the engine, as NAME=VALUE.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Folder of the result files.")] = RESULTS,
) -> None:
    """Compares `skip` and `limit` with keyset pages."""
    setup = replace(QUICK if quick else Setup(), driver=driver)
    setup = replace(setup, repetitions=repetitions or setup.repetitions)
    setup = replace(setup, sizes=(*setup.sizes, *LARGE)) if large else setup
    try:
        setup = replace(setup, settings=settings_from(set_ or []))
        _ignore_loaded()
        with served(uri, cache_gb=CACHE_GB) as server:
            result = measure(server, setup)
    except (ConfigError, DemoError) as error:
        err.print(f"[red]{error}")
        raise typer.Exit(2) from None
    publish(result, results, quick=quick)
    raise typer.Exit(0 if complete(result) else 1)


def _ignore_loaded() -> None:
    """Excludes the modules for plotting and the command line from garbage collections.

    Each full collection would spend 40 ms on them, during some page.
    """
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    typer.run(main)
