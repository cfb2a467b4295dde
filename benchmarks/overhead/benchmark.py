"""The whole overhead benchmark: does each kind of work by the engine alone, and then by the DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from pymongo.database import Database

from benchmarks.common.documents import fill
from benchmarks.common.mongo import scratch
from benchmarks.common.progress import steps
from benchmarks.overhead.phases import mapped_of, overhead, phases_of, tasks_of
from benchmarks.overhead.tables import MINUTE_S
from benchmarks.overhead.ways import COLLECTION, DAG_ID, dag_run, engine_alone, report_of, scheduler, wall_s
from benchmarks.overhead.work import SLOTS, Work, at_once, in_seconds
from benchmarks.stub.start import stub
from demo.servers.airflow_api import AirflowApi

DOCUMENTS = 100_000
QUICK_DOCUMENTS = 2_000
WARM_UP, WARM_UP_DOCUMENTS = "warm_up", 40

Row = dict[str, Any]


def work_to_measure(*, quick: bool, ranges: int | None) -> tuple[Work, ...]:
    """Chooses the kinds of work by the options of the command."""
    documents = QUICK_DOCUMENTS if quick else DOCUMENTS
    if ranges:
        return (at_once(documents, ranges),)
    return (at_once(documents, 10), in_seconds(documents, 4, 5.0 if quick else MINUTE_S))


@dataclass(frozen=True)
class Comparison:
    """One kind of work, done by the engine alone and by the DAG, each with a target database of its own.

    Attributes:
        url: the address of the service.
    """

    name: str
    work: Work
    uri: str
    url: str
    source: Database[Row]
    alone: Database[Row]
    scheduled: Database[Row]

    def run_alone(self) -> Row:
        """Measures the engine alone."""
        seconds = engine_alone(self.uri, self.source, self.alone, self.work, self.url)
        report = report_of(self.alone)
        return {"alone_s": seconds, "alone_work_s": _mean_work_s(report), "alone_ok": self._complete(report)}

    def run_scheduled(self, api: AirflowApi) -> Row:
        """Measures the DAG, and where its time goes."""
        run, instances = dag_run(api, self.name, self.source, self.scheduled, self.work, self.name)
        report = report_of(self.scheduled, f"{DAG_ID}/{self.name}")
        tasks = tasks_of(run, instances, report["ranges"])
        return {
            "wall_s": wall_s(run),
            "phases": phases_of(tasks, wall_s(run)),
            "mapped": asdict(mapped_of(tasks, SLOTS)),
            "tasks": [asdict(task) for task in tasks],
            "scheduled_ok": self._complete(report),
        }

    def _complete(self, report: Mapping[str, Any]) -> bool:
        return bool(report["reconciled"]) and report["written"] == self.work.documents


def _mean_work_s(report: Mapping[str, Any]) -> float:
    return fmean(found["active_s"] for found in report["ranges"])


def measure(uri: str, works: Sequence[Work]) -> list[Row]:
    """Returns one row per kind of work. The engine runs first, while no scheduler shares the cores."""
    with ExitStack() as stack:
        shown = stack.enter_context(steps("overhead", 2 + 2 * len(works)))
        shown.at("filling")
        source = stack.enter_context(scratch(uri))
        fill(source[COLLECTION], works[0].documents)
        shown.done()
        compared = [_comparison(stack, uri, source, at, work) for at, work in enumerate(works)]
        rows = []
        for one in compared:
            shown.at(f"the engine alone, {one.work.name}")
            rows.append({**_described(one.work), **one.run_alone()})
            shown.done()
        shown.at("starting Airflow")
        api = stack.enter_context(scheduler(uri, {one.name: one.url for one in compared}))
        _warm_up(api, compared[0])
        shown.done()
        for row, one in zip(rows, compared, strict=True):
            shown.at(f"the DAG, {one.work.name}")
            row.update(one.run_scheduled(api))
            row["overhead"] = overhead(row["wall_s"], row["alone_s"])
            shown.done()
    return rows


def _comparison(stack: ExitStack, uri: str, source: Database[Row], at: int, work: Work) -> Comparison:
    """Makes a comparison whose service and databases end with the stack."""
    url = stack.enter_context(stub(work.service)).url
    alone, scheduled = (stack.enter_context(scratch(uri)) for _ in range(2))
    return Comparison(f"ner_{at}", work, uri, url, source, alone, scheduled)


def _warm_up(api: AirflowApi, one: Comparison) -> None:
    """Does a small run that is not measured, because the first tasks of a new scheduler are slower."""
    fill(one.source[WARM_UP], WARM_UP_DOCUMENTS)
    work = replace(one.work, documents=WARM_UP_DOCUMENTS, ranges=2 * SLOTS)
    with scratch(one.uri) as target:
        dag_run(api, WARM_UP, one.source, target, work, one.name, WARM_UP)


def _described(work: Work) -> Row:
    return {
        "work": work.name,
        "documents": work.documents,
        "ranges": work.ranges,
        "range_s": work.range_s,
        "batch_texts": work.batch_texts,
        "service": asdict(work.service),
    }


def complete(rows: Sequence[Row]) -> bool:
    """Whether every run wrote every document, and reconciles."""
    return all(row["alone_ok"] and row["scheduled_ok"] for row in rows)
