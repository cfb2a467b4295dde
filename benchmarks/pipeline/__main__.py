"""Compares whole pipelines: the engine and what people use instead, on the same real messages.

    python -m benchmarks.pipeline [--quick] [--only service,client] [--candidates engine] [--outage 60]

Each candidate reads chat messages from MongoDB, sends them to a stub service that finds their entities, and
stores the entities. It does so in a fresh process, with a fresh stub in a process of its own, several times,
interleaved with the other candidates. For each scenario the tables show documents per second, the share of
the service's capacity, client CPU per document, peak memory, requests, latency at the service, and how many
documents are lost or have wrong results.

The exit status is 1 if the engine lost a document or stored a wrong result. Other limits are printed as
passed or failed, and do not affect it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.mongo import served
from benchmarks.common.progress import err
from benchmarks.common.results import RESULTS
from benchmarks.pipeline.benchmark import QUICK, chosen, complete, measure, publish, shortened
from benchmarks.pipeline.scenarios import Setup, scenarios_of
from demo.errors import DemoError

CACHE_GB = 1.0


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Only shows that it works, in seconds.")] = False,
    only: Annotated[
        str | None, typer.Option(help="Names of the scenarios to run, separated by commas.")
    ] = None,
    candidates: Annotated[
        str | None, typer.Option(help="Names of the candidates to run, separated by commas.")
    ] = None,
    outage: Annotated[float | None, typer.Option(min=0, help="Length of the outage in seconds.")] = None,
    repetitions: Annotated[
        int | None, typer.Option(min=1, help="How often most candidates are measured.")
    ] = None,
    uri: Annotated[str | None, typer.Option(help="Address of the server; by default one is started.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the result files.")] = RESULTS,
    peers_python: Annotated[
        Path | None, typer.Option(help="Python interpreter with Beam and Ray; they are measured too.")
    ] = None,
) -> None:
    """Compares whole pipelines."""
    setup = QUICK if quick else Setup()
    setup = replace(setup, repetitions=repetitions or setup.repetitions, peers=peers_python is not None)
    setup = replace(setup, outage_s=outage) if outage is not None else setup
    every = scenarios_of(setup)
    scenarios = chosen(shortened(every) if quick else every, only, candidates)
    try:
        with served(uri, cache_gb=CACHE_GB) as server:
            result = measure(server, setup, scenarios, str(peers_python) if peers_python else None)
    except DemoError as error:
        err.print(f"[red]{error}")
        raise typer.Exit(2) from None
    publish(result, results, quick=quick, whole=only is None and candidates is None)
    raise typer.Exit(0 if complete(result["rows"]) else 1)


if __name__ == "__main__":
    typer.run(main)
