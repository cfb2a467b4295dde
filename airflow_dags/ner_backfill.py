"""Named entities of a MongoDB collection, range by range, with proof that nothing was lost.

`plan` splits the window into ranges of keys and keeps the plan in MongoDB. Each mapped `run_range` reads one
range, sends its texts to the NER service and writes the entities, with a checkpoint as it goes. `summarize`
succeeds only if every planned range finished, and what was read equals what was written plus what was
unchanged plus what was dead-lettered.

- **Start it** with *Trigger*: the form explains each parameter. Without *Start* and *End* it does everything.
- **A task failed?** It is retried from its checkpoint, and so is a cleared one: nothing is done twice. Once
  the cause is gone, clear the failed `run_range` instances together with `summarize`.
- **Texts the service refuses** become documents in `<collection>_dead_letters`, each with its reason. More
  than *Dead letters allowed* fail the run, after everything else is done. Once the service takes them,
  trigger the same window again: only these are sent.
- **Results** are in `<collection>_entities` of the target database, one document each, under the same `_id`.
- **Load on the service** is at most *Requests in flight* times the slots of pool `extract_pool`, which must
  exist.
- **Connections**: `mongo_default` (type MongoDB) and `ner_default` (type HTTP; a password alone is sent as a
  bearer token; extra `{"path": "...", "headers": {...}}`). `engine` must be installed on the workers.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, TriggerRule, dag, task

RETRY_DELAY_S = float(os.environ.get("NER_RETRY_DELAY_S", "30"))
TASK_TIMEOUT_S = float(os.environ.get("NER_TASK_TIMEOUT_S", "7200"))
DEADLINE_S = TASK_TIMEOUT_S - min(60.0, TASK_TIMEOUT_S / 10)
"""A range stops by itself, its checkpoint saved, before Airflow would stop it."""

_NAME = {"type": "string", "minLength": 1}
_OPTIONAL = {"type": ["string", "null"], "minLength": 1}
_CONNECTION = {"pattern": r"^[\w.\-]+$", "section": "Connections"}


def _setting(default: int, title: str, description: str, *, minimum: int = 1, maximum: int) -> Param:
    """A number with its bounds, in the form's section of limits."""
    return Param(
        default,
        description,
        title=title,
        type="integer",
        minimum=minimum,
        maximum=maximum,
        section="Size and limits",
    )


PARAMS = {
    "start": Param(
        None,
        "First moment of the window, such as 2018-10-01T00:00:00Z (without a zone: UTC). Empty: from the "
        "first document. Where the order is by strings or numbers: one as the collection has it.",
        title="Start",
        **_OPTIONAL,
    ),
    "end": Param(
        None,
        "First moment after the window. Empty: to the last document there is when the run is planned; later "
        "ones belong to the next run.",
        title="End",
        **_OPTIONAL,
    ),
    "database": Param("chat", "Database of the documents.", title="Database", **_NAME),
    "collection": Param("messages", "Collection of the documents.", title="Collection", **_NAME),
    "target_database": Param(
        None,
        "Database of the results, dead letters, plans and checkpoints. Empty: that of the documents.",
        title="Target database",
        **_OPTIONAL,
    ),
    "order_field": Param(
        "created_at",
        "The window is over this field, and `_id` breaks ties: a full index on the two must exist. `_id` "
        "itself will do.",
        title="Order field",
        section="Documents",
        **_NAME,
    ),
    "order_type": Param(
        "date",
        "BSON type of the order field.",
        title="Order type",
        type="string",
        enum=["date", "string", "number"],
        section="Documents",
    ),
    "text_field": Param(
        "text",
        "Field that holds the text; a dotted path leads into subdocuments.",
        title="Text field",
        section="Documents",
        **_NAME,
    ),
    "filter": Param(
        {},
        'A MongoDB filter for the documents, in Extended JSON: {"channel": "general"}.',
        title="Filter",
        type="object",
        section="Documents",
    ),
    "service_format": Param(
        "native",
        "What the service speaks: the project's own format, or that of a known kind of service.",
        title="Service format",
        type="string",
        enum=["native", "presidio", "huggingface", "corenlp", "gliner", "comprehend"],
        section="Service",
    ),
    "extractor_name": Param(
        "ner", "Name of the extractor in the results.", title="Extractor", section="Service", **_NAME
    ),
    "extractor_version": Param(
        "1",
        "Documents with an extraction of this name and version, and the same text, are not sent again.",
        title="Extractor version",
        section="Service",
        **_NAME,
    ),
    "force": Param(
        False,
        "Send every document and replace what is there, also where nothing has changed.",
        title="Force",
        type="boolean",
        section="Service",
    ),
    "strategy": Param(
        "auto",
        "How the window is split: walk the index, count between sampled keys, or sample. Auto chooses by "
        "the window's size; only a sample leaves ranges uncounted.",
        title="Strategy",
        type="string",
        enum=["auto", "exact", "counted", "sample"],
        section="Size and limits",
    ),
    "range_documents": _setting(
        10_000,
        "Documents a range",
        "Each range is one mapped task; a minute of work or more is a good size.",
        maximum=10_000_000,
    ),
    "max_ranges": _setting(200, "Most ranges", "Beyond it, ranges grow.", maximum=1000),
    "max_concurrency": _setting(
        64,
        "Requests in flight",
        "Most of each mapped task; below it the limit adapts to the service. The pool bounds the tasks.",
        maximum=1024,
    ),
    "batch_texts": _setting(32, "Texts a request", "Most texts in one request.", maximum=10_000),
    "max_dead_letters": _setting(
        0,
        "Dead letters allowed",
        "More of them fail the run, once everything else is done.",
        minimum=0,
        maximum=1_000_000_000,
    ),
    "mongo_conn_id": Param(
        "mongo_default",
        "Connection of type MongoDB, for the documents.",
        title="MongoDB connection",
        type="string",
        **_CONNECTION,
    ),
    "target_conn_id": Param(
        None,
        "Connection of type MongoDB, for the results. Empty: that of the documents.",
        title="Target connection",
        type=["string", "null"],
        **_CONNECTION,
    ),
    "service_conn_id": Param(
        "ner_default",
        "Connection of type HTTP, for the NER service.",
        title="Service connection",
        type="string",
        **_CONNECTION,
    ),
}


@task(
    doc_md="Splits the window into ranges of keys. A retry finds the plan that is kept, and changes nothing."
)
def plan() -> list[dict[str, Any]]:
    """The ranges of this run, each with a label for people."""
    import extract_glue

    return extract_glue.plan()


@task(
    pool="extract_pool",
    execution_timeout=timedelta(seconds=TASK_TIMEOUT_S),
    map_index_template="{{ task.op_kwargs['key_range']['label'] }}",
    doc_md="Runs one range from its checkpoint to its end. A retry goes on where it stopped.",
)
def run_range(key_range: dict[str, Any], deadline_s: float) -> dict[str, Any]:
    """One range; its report."""
    import extract_glue

    return extract_glue.run_range(key_range, deadline_s)


@task(
    trigger_rule=TriggerRule.ALL_DONE,
    doc_md="Proves that nothing was lost, or fails with the reasons: see the table in its log.",
)
def summarize(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run's numbers."""
    import extract_glue

    return extract_glue.summarize(reports)


@dag(
    dag_id="ner_backfill",
    description="Named entities of a MongoDB collection, range by range, with proof that nothing was lost",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    tags=["ner", "mongodb", "backfill"],
    doc_md=__doc__,
    default_args={"retries": 3, "retry_delay": timedelta(seconds=RETRY_DELAY_S)},
)
def ner_backfill() -> None:
    """Three tasks: plan, one mapped task a range, and the proof."""
    summarize(run_range.partial(deadline_s=DEADLINE_S).expand(key_range=plan()))


ner_backfill()
