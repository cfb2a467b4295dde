"""Measures the cost of Airflow: the DAG under a real scheduler, and `python -m engine run`, on the same work.

    python -m benchmarks.overhead [--quick] [--ranges 200] [--uri mongodb://...]

Both process 100,000 documents, two ranges at once, in two ways: in ten ranges with a service that answers at
once, so that only the machinery takes time; and in four ranges of a minute each, with a service that takes
its time. The scheduler is Airflow's own (LocalExecutor, SQLite, two workers), the engine alone is one
process. Each run is timed from its request to its end, after a small run that warms the scheduler up. This
takes five and a half minutes on a quiet machine. `--ranges N` measures only the service that answers at once,
in N ranges, to see what a mapped task costs when there are many.

The exit status is 1 if a run does not reconcile. Limits are printed as passed or failed, and do not affect
it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.common.mongo import Driver, describe_machine, served
from benchmarks.common.progress import err
from benchmarks.common.results import RESULTS, result_path, save
from benchmarks.overhead.benchmark import complete, measure, work_to_measure
from benchmarks.overhead.tables import acceptance, show
from benchmarks.overhead.work import SLOTS
from demo.errors import DemoError

CACHE_GB = 1.0


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Only shows that it works, in a minute.")] = False,
    ranges: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Measure only this number of ranges, at once.")
    ] = None,
    uri: Annotated[str | None, typer.Option(help="Address of the server; by default one is started.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the result file.")] = RESULTS,
) -> None:
    """Compares the DAG with the engine alone."""
    works = work_to_measure(quick=quick, ranges=ranges)
    try:
        with served(uri, cache_gb=CACHE_GB) as server:
            machine = describe_machine(server, Driver.MOTOR)
            rows = measure(server, works)
    except DemoError as error:
        err.print(f"[red]{error}")
        raise typer.Exit(2) from None
    name = f"overhead_{ranges}_ranges" if ranges else "overhead"
    checks = [{**asdict(check), "passed": check.passed} for check in acceptance(rows)]
    result = {"benchmark": name, "machine": machine, "slots": SLOTS, "rows": rows, "acceptance": checks}
    save(result_path(results, name, "json", quick=quick), {**result, "quick": quick})
    show(result)
    raise typer.Exit(0 if complete(rows) else 1)


if __name__ == "__main__":
    typer.run(main)
