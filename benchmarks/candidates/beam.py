"""Beam's RequestResponseIO between its MongoDB source and sink, with Beam's own retries, 32 texts a batch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import apache_beam
import requests
from apache_beam.io.mongodbio import ReadFromMongoDB, WriteToMongoDB
from apache_beam.io.requestresponse import Caller, RequestResponseIO, UserCodeQuotaException
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.common.process import Job, Meter
from benchmarks.common.process_tree import Tree

TEXTS = 32
WORKERS = 4
WRITE = 1_000
TIMEOUT_S = 30

Document = dict[str, Any]


class Service(Caller[Any, Any]):
    """Makes one request. Every failure is raised as a quota error: Beam repeats only these and timeouts."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Caller[Any, Any]:
        self._session = requests.Session()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def __call__(self, request: list[Document], *_: Any, **__: Any) -> list[Document]:
        """Returns the results of a batch."""
        try:
            texts = [document["text"] for document in request]
            answer = self._session.post(self._url, json={"texts": texts}, timeout=TIMEOUT_S)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise UserCodeQuotaException(str(error)) from error
        return [
            {"_id": document["_id"], "entities": entities}
            for document, entities in zip(request, answer.json()["results"], strict=True)
        ]


def beam(job: Job, meter: Meter) -> Mapping[str, Any]:
    """Runs one pipeline in several processes of this machine."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # for the worker processes
    options = PipelineOptions(
        runner="FnApiRunner", direct_num_workers=WORKERS, direct_running_mode="multi_processing"
    )
    with Tree() as tree, meter, apache_beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | ReadFromMongoDB(job.uri, job.database, job.collection, projection=["_id", "text"])
            | apache_beam.Reshuffle()
            | apache_beam.BatchElements(min_batch_size=TEXTS, max_batch_size=TEXTS)
            | RequestResponseIO(Service(job.url), timeout=TIMEOUT_S)
            | apache_beam.FlatMap(list)
            | WriteToMongoDB(job.uri, job.target, "entities", batch_size=WRITE)
        )
    return {"cpu_s": tree.cpu_s, "peak_mb": round(tree.peak_mb, 1)}
