"""The params of the DAGs by their groups, except those of the window (`window.py`).

A param that is a setting of the engine has the setting's name, default, type and bounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from engine.extractors.formats import FORMATS
from engine.settings import Settings
from engine.settings.tuning import Tuning

_NAME: dict[str, Any] = {"type": "string", "minLength": 1}
_OPTIONAL: dict[str, Any] = {"type": ["string", "null"], "minLength": 1}
_CONNECTION: dict[str, Any] = {"pattern": r"^[\w.\-]+$", "section": "Connections"}
_LIMITS = "Size and limits"

_SCHEMA = {**Settings.model_json_schema()["properties"], **Tuning.model_json_schema()["properties"]}
_DEFAULTS = {**Settings().model_dump(), **Tuning().model_dump()}
_CHECKED = ("type", "enum", "minimum", "maximum", "minLength")


def _settings(section: str, **words: Mapping[str, Any]) -> dict[str, Param]:
    """Params of settings of the engine, each with the default of its setting and the same checks of a value.

    Args:
        words: by the setting's name, the title and the description, and more of the schema if needed.
    """
    params = {}
    for name, told in words.items():
        checks = {check: _SCHEMA[name][check] for check in _CHECKED if check in _SCHEMA[name]}
        params[name] = Param(_DEFAULTS[name], section=section, **{**checks, **told})
    return params


def _optional_number(title: str, description: str, *, maximum: int = 1_000_000_000) -> Param:
    """A positive integer that may be left empty, in the section of limits."""
    checks: dict[str, Any] = {"type": ["integer", "null"], "minimum": 1, "maximum": maximum}
    return Param(None, description, title=title, section=_LIMITS, **checks)


LETTERS = {
    "kinds": Param(
        [],
        "Only dead letters of these classes: refused by the service (permanent), failed too often "
        "(transient), throttled while others passed (throttled), without a text (invalid_text). Without a "
        "choice: all.",
        title="Classes",
        type="array",
        items={"type": "string", "enum": ["permanent", "transient", "throttled", "invalid_text"]},
        examples=["permanent", "transient", "throttled", "invalid_text"],
        values_display={
            "permanent": "permanent: refused",
            "transient": "transient: failed too often",
            "throttled": "throttled: always put off",
            "invalid_text": "invalid_text: no text",
        },
        uniqueItems=True,
    ),
    "limit": Param(
        None,
        "Try at most this many dead letters, the first by `_id`. Empty: all.",
        title="Most dead letters",
        type=["integer", "null"],
        minimum=1,
    ),
}

REPAIR = {
    "repair": Param(False, "Send the missing documents, and verify again.", title="Repair", type="boolean"),
    "limit": Param(
        20,
        "Name at most this many missing documents in the log.",
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
        "Database of the results, dead letters, plans and checkpoints. Empty: the database of the documents.",
        title="Target database",
        **_OPTIONAL,
    ),
}

DOCUMENTS = _settings(
    "Documents",
    order_field={
        "title": "Order field",
        "description": "The window is over this field, and `_id` breaks ties: a full index on the two must "
        "exist. The field may be `_id` itself.",
        "minLength": 1,
    },
    order_type={
        "title": "Order type",
        "description": "BSON type of the order field, by which start and end are read. Make another than "
        "date the DAG's default.",
    },
    order_unit={
        "title": "Order unit",
        "description": "How times are written in the order field: s, ms or us for numbers, a strftime "
        "pattern such as %Y-%m-%dT%H:%M:%SZ for strings. Data intervals need it, and times as start and end.",
        "type": ["string", "null"],
        "minLength": 1,
    },
    text_field={
        "title": "Text field",
        "description": "Field that holds the text; a dotted path leads into subdocuments.",
        "minLength": 1,
    },
    filter={
        "title": "Filter",
        "description": 'A MongoDB filter for the documents, in Extended JSON: {"channel": "general"}.',
    },
)

SERVICE = {
    "service_format": Param(
        "native",
        "The format of requests and answers: the project's own, or that of a known kind of service.",
        title="Service format",
        type="string",
        enum=list(FORMATS),
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
    **_settings(
        "Service",
        extractor_name={"title": "Extractor", "description": "Name of the extractor in the results."},
        extractor_version={
            "title": "Extractor version",
            "description": "Documents with a result of this name and version for the same text are not sent.",
        },
        force={
            "title": "Force",
            "description": "Send every document and replace its result, even if nothing has changed.",
        },
    ),
}

PLANNING = _settings(
    _LIMITS,
    strategy={
        "title": "Strategy",
        "description": "How the window is split: walk the index, count between sampled keys, or sample. Auto "
        "chooses by the window's size; only a sample leaves ranges uncounted.",
        "values_display": {
            "auto": "auto: by the window's size",
            "exact": "exact: walk the index",
            "counted": "counted: sample, then count",
            "sample": "sample: without counts",
        },
    },
    range_documents={
        "title": "Documents a range",
        "description": "Each range is one mapped task; choose a size that takes a minute or more.",
        "maximum": 10_000_000,
    },
    max_ranges={
        "title": "Most ranges",
        "description": "If the window needs more ranges than this, each range gets more documents.",
    },
    report_entities={
        "title": "Entities in the report",
        "description": "Most frequent entities that the saved report names (parts of texts). 0: none.",
    },
)

LIMITS = {
    **_settings(
        _LIMITS,
        max_concurrency={
            "title": "Requests in flight",
            "description": "Most requests in flight of each task; below it the limit adapts to the service.",
        },
    ),
    "service_capacity": _optional_number(
        "Service capacity",
        "Requests that the service can take at once, from all tasks together. Divided by the slots of the "
        "pool, it limits those of each task. Empty: only the limit of each task counts.",
    ),
    "pool_slots": _optional_number(
        "Slots of the pool",
        "The service capacity is divided by this number. Empty: by the slots that the pool has when a task "
        "begins, which the task asks Airflow's API for.",
        maximum=10_000,
    ),
    **_settings(
        _LIMITS,
        batch_texts={"title": "Texts a request", "description": "Most texts in one request."},
        max_dead_letters={
            "title": "Dead letters allowed",
            "description": "If there are more, the run fails, once everything else is done.",
            "maximum": 1_000_000_000,
        },
        max_dead_letter_share={
            "title": "Share of dead letters allowed",
            "description": "If a larger share of the documents of a range fails, its task fails at once. 1: "
            "any share is allowed.",
        },
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
        "Connection of type MongoDB, for the results. Empty: the Connection of the documents.",
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
        "Connection of type HTTP, for Airflow's API. It is asked for the slots of the pool if a service "
        "capacity is given without them.",
        title="Airflow connection",
        type="string",
        **_CONNECTION,
    ),
}
