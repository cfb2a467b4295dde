"""Measures each candidate in a fresh process with a fresh stub, and judges what it has stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from pymongo.database import Database

from benchmarks.candidates.workers import WIDE_TEXTS
from benchmarks.common.messages import History
from benchmarks.common.mongo import scratch
from benchmarks.common.process import Job
from benchmarks.common.progress import Steps
from benchmarks.pipeline.scenarios import Entry, Scenario
from benchmarks.stub.answers import Outcome, expected_of, judge
from benchmarks.stub.start import stub
from engine import Settings

TEXTS = 32
"""Texts per full request of the candidates that send batches and are not in `FULL`."""

ENGINE_TEXTS: int = Settings().batch_texts
"""Texts per full request of the engine, by default."""

FULL = {
    "engine": ENGINE_TEXTS,
    "engine_on_asyncio": ENGINE_TEXTS,
    "engine_on_pymongo": ENGINE_TEXTS,
    "workers_wide": WIDE_TEXTS,
    "blog": 1,
    "threads": 1,
    "gather": 1,
}
"""Texts per full request of each other candidate."""

PEERS = ("beam", "ray")
MOST_S = 240.0
"""Seconds after which a candidate is ended."""

Row = dict[str, Any]


@dataclass
class Measuring:
    """Runs the entries of scenarios one by one.

    Attributes:
        peers_python: the interpreter with Beam and Ray.
    """

    uri: str
    database: Database[dict[str, Any]]
    shown: Steps
    peers_python: str | None = None

    def run(self, scenarios: tuple[Scenario, ...]) -> Iterator[Row]:
        """Yields one row per entry and repetition, interleaved: everything once, then everything again."""
        most = max(entry.repetitions for scenario in scenarios for entry in scenario.entries)
        for repetition in range(most):
            for scenario in scenarios:
                for entry in scenario.entries:
                    if repetition < entry.repetitions:
                        yield {**self._measure(scenario, entry), "repetition": repetition}
                        self.shown.done()

    def _measure(self, scenario: Scenario, entry: Entry) -> Row:
        self.shown.at(f"{scenario.name}: {entry.candidate} {entry.concurrency or ''}")
        source = self._history.collection(entry.documents, scenario.poisoned)
        with scratch(self.uri) as target, stub(scenario.service) as service:
            python = self.peers_python if entry.candidate in PEERS else None
            job = Job(
                self.uri,
                self.database.name,
                source.name,
                target.name,
                service.url,
                entry.candidate,
                entry.concurrency,
            )
            answer = run_candidate(python or sys.executable, job)
            seen = service.stop()
            outcome = judge(self._expected(source.name), target, source.name)
        return row_of(scenario, entry, answer, seen, outcome)

    @cached_property
    def _history(self) -> History:
        return History(self.database)

    def _expected(self, name: str) -> dict[Any, int]:
        if name not in self._known:
            self._known[name] = expected_of(self.database[name])
        return self._known[name]

    @cached_property
    def _known(self) -> dict[str, dict[Any, int]]:
        return {}


def run_candidate(python: str, job: Job) -> dict[str, Any]:
    """Runs a candidate in a process of its own, and returns its answer.

    The job is passed by standard input, because the address may contain a password.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ENGINE_")}
    command = [python, "-m", "benchmarks.candidates.run_one"]
    try:
        done = subprocess.run(
            command,
            input=json.dumps(asdict(job)) + "\n",
            capture_output=True,
            text=True,
            timeout=MOST_S,
            check=False,
            env=environ,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"ended after {MOST_S:g} s", "seconds": MOST_S, "cpu_s": None, "peak_mb": None}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return {"error": "".join(last)[:300], "seconds": None, "cpu_s": None, "peak_mb": None}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def row_of(
    scenario: Scenario, entry: Entry, answer: dict[str, Any], seen: dict[str, Any], outcome: Outcome
) -> Row:
    """Combines all numbers of one run into a row of the result.

    `documents_per_second` counts stored documents, and for the bare loop answered texts.
    `requests_per_needed` divides by the number of full requests, although the end of a page needs a smaller
    one.
    """
    texts = FULL.get(entry.candidate, TEXTS)
    done = seen["texts"] if entry.candidate == "bare" else outcome.stored
    rate = done / answer["seconds"] if answer["seconds"] else None
    capacity = scenario.service.capacity(max(texts, TEXTS))
    return {
        "scenario": scenario.name,
        "candidate": entry.candidate,
        "concurrency": entry.concurrency,
        "documents": entry.documents,
        "documents_per_second": rate and round(rate, 1),
        "share": round(rate / capacity, 4) if rate and capacity else None,
        "cpu_ms_a_document": round(1000 * answer["cpu_s"] / done, 4) if answer["cpu_s"] and done else None,
        "requests_per_needed": round(seen["requests"] / -(-entry.documents // texts), 4),
        **{name: value for name, value in answer.items() if value is not None},
        **seen,
        **asdict(outcome),
    }
