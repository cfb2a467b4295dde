"""The params of the DAGs: what the trigger form shows, explains and checks.

Those that are settings of the engine have its names and defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Param

_NAME = {"type": "string", "minLength": 1}
_OPTIONAL = {"type": ["string", "null"], "minLength": 1}
_CONNECTION = {"pattern": r"^[\w.\-]+$", "section": "Connections"}
_MOMENT = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?$"
"""ISO-8601, as the engine reads it; refused by the form already, not only by the task that plans."""


def _number(
    default: int | None, title: str, description: str, *, minimum: int = 1, maximum: int = 1_000_000_000
) -> Param:
    """A number with its bounds, in the form's section of limits; None makes it optional."""
    return Param(
        default,
        description,
        title=title,
        type="integer" if default is not None else ["integer", "null"],
        minimum=minimum,
        maximum=maximum,
        section="Size and limits",
    )


WINDOW = {
    "start": Param(
        None,
        "First moment of the window, such as 2018-10-01 or 2018-10-01T06:00:00Z (without a zone: UTC). "
        "Empty: from the first document. Where the DAG orders by strings or numbers: one of these.",
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
}

LOOKBACK = {
    "lookback_hours": Param(
        0,
        "Without start and end, the window is the run's data interval, and so many hours before it: for "
        "documents that came late. What has its entities already is not sent again.",
        title="Lookback (hours)",
        type="number",
        minimum=0,
    ),
}

LETTERS = {
    "kinds": Param(
        [],
        "Only dead letters of these classes: refused by the service (permanent), failed too often "
        "(transient), without a text (invalid_text). None chosen: all.",
        title="Classes",
        type="array",
        items={"type": "string", "enum": ["permanent", "transient", "invalid_text"]},
        examples=["permanent", "transient", "invalid_text"],
        values_display={
            "permanent": "permanent: refused",
            "transient": "transient: failed too often",
            "invalid_text": "invalid_text: no text",
        },
        uniqueItems=True,
    ),
    "limit": Param(
        None,
        "Most dead letters to try, the first by `_id`. Empty: all.",
        title="Most dead letters",
        type=["integer", "null"],
        minimum=1,
    ),
}

REPAIR = {
    "repair": Param(
        False, "Send what is missing to the service, and look again.", title="Repair", type="boolean"
    ),
    "limit": Param(
        20,
        "Most missing documents to name in the log.",
        title="Missing documents to name",
        type="integer",
        minimum=0,
        maximum=1000,
    ),
}

PLACES = {
    "database": Param("chat", "Database of the documents.", title="Database", **_NAME),
    "collection": Param("messages", "Collection of the documents.", title="Collection", **_NAME),
    "target_database": Param(
        None,
        "Database of the results, dead letters, plans and checkpoints. Empty: that of the documents.",
        title="Target database",
        **_OPTIONAL,
    ),
}

DOCUMENTS = {
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
        "BSON type of the order field. For windows of strings or numbers, make it the DAG's default.",
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
}

SERVICE = {
    "service_format": Param(
        "native",
        "What the service speaks: the project's own format, or that of a known kind of service.",
        title="Service format",
        type="string",
        enum=["native", "presidio", "huggingface", "corenlp", "gliner", "comprehend"],
        values_display={
            "native": "native: the project's own",
            "presidio": "Presidio analyzer",
            "huggingface": "Hugging Face token classification",
            "corenlp": "Stanford CoreNLP",
            "gliner": "GLiNER",
            "comprehend": "like AWS Comprehend",
        },
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
}

PLANNING = {
    "strategy": Param(
        "auto",
        "How the window is split: walk the index, count between sampled keys, or sample. Auto chooses by "
        "the window's size; only a sample leaves ranges uncounted.",
        title="Strategy",
        type="string",
        enum=["auto", "exact", "counted", "sample"],
        values_display={
            "auto": "auto: by the window's size",
            "exact": "exact: walk the index",
            "counted": "counted: sample, then count",
            "sample": "sample: without counts",
        },
        section="Size and limits",
    ),
    "range_documents": _number(
        25_000,
        "Documents a range",
        "Each range is one mapped task; a minute of work or more is a good size.",
        maximum=10_000_000,
    ),
    "max_ranges": _number(200, "Most ranges", "Beyond it, ranges grow.", maximum=1000),
    "report_entities": _number(
        20,
        "Entities in the report",
        "Most frequent entities that the saved report names; they are parts of texts. 0: none.",
        minimum=0,
        maximum=1000,
    ),
}

LIMITS = {
    "max_concurrency": _number(
        64, "Requests in flight", "Most of each task; below it the limit adapts to the service.", maximum=1024
    ),
    "service_capacity": _number(
        None,
        "Service capacity",
        "Requests at once that the service bears, in all: divided by the slots of the pool, it caps those of "
        "each task. Empty: no cap but that of each task.",
    ),
    "pool_slots": _number(
        None,
        "Slots of the pool",
        "What the service capacity is divided by. Empty: as many as the pool has when a task begins, asked "
        "of Airflow's API.",
        maximum=10_000,
    ),
    "batch_texts": _number(64, "Texts a request", "Most texts in one request.", maximum=10_000),
    "max_dead_letters": _number(
        0, "Dead letters allowed", "More of them fail the run, once everything else is done.", minimum=0
    ),
}

CONNECTIONS = {
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
    "airflow_conn_id": Param(
        "airflow_api",
        "Connection of type HTTP, for Airflow's API: asked for the slots of the pool, where a service "
        "capacity is given and the slots are not.",
        title="Airflow connection",
        type="string",
        **_CONNECTION,
    ),
}

EXTRACTION = (PLACES, DOCUMENTS, SERVICE)
COMMON = (LIMITS, CONNECTIONS)
"""What all DAGs have."""


def params_of(groups: Iterable[Mapping[str, Param]], defaults: Mapping[str, Any]) -> dict[str, Param]:
    """The params of these groups, some with another default.

    Raises:
        ValueError: a default is given for what is none of them.
        ParamValidationError: a default is not allowed.
    """
    params = {name: param for group in groups for name, param in group.items()}
    if unknown := sorted(set(defaults) - set(params)):
        raise ValueError(f"no such param: {', '.join(unknown)}; there are {', '.join(params)}")
    dated = defaults.get("order_type", "date") == "date"
    for name in params.keys() & {*defaults, *WINDOW}:
        param = params[name]
        more = {"pattern": _MOMENT} if dated and name in WINDOW else {}
        params[name] = Param(defaults.get(name, param.value), param.description, **{**param.schema, **more})
        params[name].resolve()
    return params
