"""Runs one candidate in a process of its own.

Its standard input gives a Job (`common/process.py`) as one line of JSON; its last line of output is what the
candidate tells of itself, and what the meter says. A candidate that raises has an `error`, and the meter's
numbers up to there.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

from benchmarks.common.process import Job, Meter, run_loop

CANDIDATES = {
    "engine": "benchmarks.candidates.engine",
    "engine_on_asyncio": "benchmarks.candidates.engine",
    "engine_on_pymongo": "benchmarks.candidates.engine",
    "workers": "benchmarks.candidates.workers",
    "workers_wide": "benchmarks.candidates.workers",
    "workers_on_pymongo": "benchmarks.candidates.workers",
    "blog": "benchmarks.candidates.simple",
    "threads": "benchmarks.candidates.simple",
    "gather": "benchmarks.candidates.gather",
    "bare": "benchmarks.candidates.bare",
    "beam": "benchmarks.candidates.beam",
    "ray": "benchmarks.candidates.ray",
}
"""Where each is; imported alone, so that no candidate pays for another's libraries."""


def measure(job: Job) -> dict[str, Any]:
    """What became of the candidate."""
    candidate: Any = getattr(import_module(CANDIDATES[job.candidate]), job.candidate)
    meter, told = Meter(), {}
    try:
        answer = candidate(job, meter)
        told = run_loop(answer) if iscoroutinefunction(candidate) else answer
    except Exception as error:  # noqa: BLE001  (what a candidate dies of is a result)
        told = {"error": f"{type(error).__name__}: {error}"[:300]}
    return {**meter.to_json(), **told}


if __name__ == "__main__":
    given = Job(**json.loads(sys.stdin.readline()))
    print(json.dumps(measure(given)), flush=True)
