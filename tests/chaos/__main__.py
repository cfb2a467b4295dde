"""Runs all scenarios at random moments, prints a table, and ends with 1 if any trial ended wrong.

python -m tests.chaos --seed 7 --only rename --trials 20
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from tests.chaos.outcomes import End, Outcome, table_of
from tests.chaos.source_changes import CHANGES, trial
from tests.support.mongod import replica_set

TRIALS = 200
console = Console()


def main(
    seed: Annotated[
        int | None, typer.Option(help="Chooses all moments; by default another each time.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(CHANGES)}; repeatable.")] = None,
    trials: Annotated[int, typer.Option(help="How many, over all scenarios.")] = TRIALS,
) -> None:
    """Changes sources at random moments of runs, and judges how the runs end."""
    logging.getLogger("engine").setLevel(logging.CRITICAL)  # the failures that it would tell are meant
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    kinds = only or list(CHANGES)
    if unknown := set(kinds) - set(CHANGES):
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}", param_hint="--only")
    console.print(f"seed {seed}")
    outcomes = asyncio.run(_all(seed, kinds, trials))
    console.print(table_of(outcomes))
    wrong = [outcome for outcome in outcomes if outcome.end is End.WRONG]
    for outcome in wrong:
        console.print(f"--seed {seed} --only {outcome.kind}: trial {outcome.seed}: {outcome.detail}")
    sys.exit(1 if wrong else 0)


async def _all(seed: int, kinds: list[str], trials: int) -> list[Outcome]:
    rng = random.Random(seed)
    planned = [(kinds[at % len(kinds)], rng.randrange(1 << 32)) for at in range(trials)]
    with TemporaryDirectory() as folder, replica_set(Path(folder) / "mongod") as uri:
        return [await trial(uri, *one) for one in track(planned, "trials", console=console)]


if __name__ == "__main__":
    typer.run(main)
