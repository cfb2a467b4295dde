"""Reading a collection in pages: `skip`/`limit` against keyset, and one cursor as the limit.

    python -m benchmarks.skip_vs_keyset [--quick | --large] [--uri mongodb://...] [--set NAME=VALUE]

For collections of 100,000 to 1,000,000 documents (`--large`: 5,000,000 too) and pages of 1,000 and 10,000:
time (median of interleaved repetitions), index keys and documents examined (the server's profiler), and what
is lost or read twice when 1% of the documents are deleted or inserted meanwhile. Where skipping would pass
over more than 50 million documents, pages are read at 40 depths and their sum is marked as estimated.

Exit status 1 if a keyset reader did not read each document exactly once.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.common.mongo import Driver, describe_machine, scratch, served
from benchmarks.common.progress import err, steps
from benchmarks.common.results import RESULTS, result_path, save
from benchmarks.skip_vs_keyset.measuring import Comparison, Setup
from benchmarks.skip_vs_keyset.plot import draw
from benchmarks.skip_vs_keyset.readers import KEYSET
from benchmarks.skip_vs_keyset.tables import show
from demo.errors import DemoError
from engine.errors import ConfigError
from engine.settings import Settings

CACHE_GB = 2.0
"""Everything fits: what is measured is the work, not the disk."""

LARGE = (5_000_000,)
QUICK = Setup(sizes=(3_000, 9_000), pages=(100, 1_000), repetitions=2, samples=10, most_skipped=300_000)


def measure(uri: str, setup: Setup) -> dict[str, Any]:
    """Everything that goes into the result file, except how it was called."""
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
    """Whether the keyset readers read each document exactly once, also while others were changed.

    And whether all read everything while nothing was changed: a reader that reads less is no comparison.
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


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Shows in seconds that it works; no numbers to quote.")] = False,
    large: Annotated[bool, typer.Option(help="5,000,000 documents too.")] = False,
    uri: Annotated[str | None, typer.Option(help="Server to use; by default one is started.")] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="How often each read is timed.")] = None,
    driver: Annotated[Driver, typer.Option(help="Driver that reads.")] = Driver.MOTOR,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Setting of the engine: NAME=VALUE.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where the result files go.")] = RESULTS,
) -> None:
    """Compares skip/limit with keyset pages."""
    setup = replace(QUICK if quick else Setup(), driver=driver)
    setup = replace(setup, repetitions=repetitions or setup.repetitions)
    setup = replace(setup, sizes=(*setup.sizes, *LARGE)) if large else setup
    try:
        setup = replace(setup, settings=_settings(set_ or []))
        _ignore_loaded()
        with served(uri, cache_gb=CACHE_GB) as server:
            result = measure(server, setup)
    except (ConfigError, DemoError) as error:
        err.print(f"[red]{error}")
        raise typer.Exit(2) from None
    publish(result, results, quick=quick)
    raise typer.Exit(0 if complete(result) else 1)


def _ignore_loaded() -> None:
    """Keeps what plotting and the command line have loaded out of every full garbage collection.

    Each would walk through it, 40 ms in the midst of some page.
    """
    gc.collect()
    gc.freeze()


def _settings(assignments: list[str]) -> dict[str, str]:
    """Settings from `NAME=VALUE`, checked before anything is measured."""
    settings = dict(assignment.split("=", 1) for assignment in assignments if "=" in assignment)
    if len(settings) != len(assignments):
        raise ConfigError("--set takes NAME=VALUE")
    Settings(**settings)
    return settings


if __name__ == "__main__":
    typer.run(main)
