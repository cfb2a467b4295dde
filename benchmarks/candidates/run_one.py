"""Runs one candidate in a process of its own.

It reads a Job (`common/process.py`) as one line of JSON from its standard input. Its last line of output has
what the candidate returns and what the meter has measured. If the candidate raises, the line has an `error`
and the measurements up to then.
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
"""The module of each candidate. No other is imported: no candidate pays for another's libraries."""


def measure(job: Job) -> dict[str, Any]:
    """Runs the candidate, and returns its own numbers and those of the meter."""
    candidate: Any = getattr(import_module(CANDIDATES[job.candidate]), job.candidate)
    meter, returned = Meter(), {}
    try:
        answer = candidate(job, meter)
        returned = run_loop(answer) if iscoroutinefunction(candidate) else answer
    except Exception as error:  # noqa: BLE001  (the error of a candidate is a result)
        returned = {"error": f"{type(error).__name__}: {error}"[:300]}
    return {**meter.to_json(), **returned}


if __name__ == "__main__":
    given = Job(**json.loads(sys.stdin.readline()))
    print(json.dumps(measure(given)), flush=True)
