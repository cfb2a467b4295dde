"""Settings of a run: from keywords, from environment variables (`ENGINE_...`) or from Airflow params.

A wrong value raises a `ConfigError` that names the setting, its value and the allowed values.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, Self

from bson import json_util
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import ConfigError

FieldPath = Annotated[str, Field(pattern=r"^[^.$\x00][^.\x00]*(\.[^.$\x00][^.\x00]*)*$")]
CollectionName = Annotated[str, Field(pattern=r"^[^$\x00]+$", max_length=255)]


class Settings(BaseSettings):
    """The settings of a run: everything except window, source, extractor and target.

    Times are in seconds (`_s`), sizes in bytes (`_bytes`) or in the unit that the name says.

    Raises:
        ConfigError: a value is not allowed, or a setting is unknown.
    """

    model_config = SettingsConfigDict(env_prefix="ENGINE_", extra="forbid", frozen=True)

    # --- the documents ---
    order_field: FieldPath = Field(
        "created_at", description="Field that orders the documents; `_id` breaks ties."
    )
    order_type: Literal["date", "string", "number"] = Field(
        "date", description="BSON type of `order_field` in the window; unused if that is `_id`."
    )
    text_field: FieldPath = Field("text", description="Field with the text (dotted path).")
    filter: dict[str, Any] = Field(
        default_factory=dict, description="Additional MongoDB filter (Extended JSON if it is given as text)."
    )
    missing_text: Literal["dead_letter", "empty"] = Field(
        "dead_letter",
        description="Whether a document without a text is a dead letter or one without entities.",
    )

    # --- planning: splitting the window into ranges ---
    run_id: str | None = Field(
        None, min_length=1, description="Id of the run; by default derived from its parameters."
    )
    strategy: Literal["auto", "exact", "counted", "sample"] = Field(
        "auto", description="How a window is split: walk the index, count between sampled keys, or sample."
    )
    max_counted_documents: int = Field(
        50_000_000,
        ge=0,
        description="For more documents, `auto` does not count: the sizes of ranges are estimates.",
    )
    max_proven_documents: int = Field(
        100_000,
        ge=0,
        description="Plans of at most so many documents are proven by an independent snapshot count.",
    )
    range_documents: int = Field(25_000, ge=1, description="Documents in a range.")
    max_ranges: int = Field(
        200, ge=1, le=1000, description="Largest number of ranges; larger windows get larger ranges."
    )
    range_concurrency: int = Field(
        2, ge=1, le=64, description="Ranges that `run` processes at once; one of them reads at a time."
    )

    # --- reading ---
    page_documents: int = Field(1024, ge=1, le=100_000, description="Largest number of documents in a page.")
    max_page_bytes: int = Field(
        8 << 20, ge=1, description="Most bytes in a page, estimated from the sizes seen so far."
    )
    page_target_s: float = Field(
        0.25, gt=0, description="Pages shrink while fetching one takes longer than this."
    )
    read_ahead_bytes: int = Field(
        16 << 20,
        ge=0,
        description="The next page is fetched ahead if its estimated size is below this; 0: never.",
    )

    max_tied_documents: int = Field(
        10_000, ge=1, description="Most documents with the same order value, if the index lacks `_id`."
    )

    # --- calling the service ---
    min_concurrency: int = Field(
        1, ge=1, description="The limit of requests in flight never falls below this."
    )
    max_concurrency: int = Field(
        64,
        ge=1,
        le=1024,
        description="Most requests in flight in one process; the current limit adapts below it.",
    )
    batch_texts: int = Field(64, ge=1, le=10_000, description="Most texts in a request.")
    batch_chars: int = Field(
        100_000, ge=1, description="Most characters in a request (it has at least one text)."
    )
    repeat_cache_texts: int = Field(
        4096,
        ge=0,
        description="Texts of a range whose answers are kept for equal texts; 0: every text is sent.",
    )
    repeat_cache_chars: int = Field(
        1_000_000, ge=0, description="Most characters in the texts whose answers are kept."
    )
    request_timeout_s: float = Field(
        30.0, gt=0, description="Time for one attempt, plus `text_timeout_s` for each text."
    )
    timeout_charge_s: float = Field(
        5.0, ge=0, description="Time for which an attempt that timed out still counts as in flight."
    )
    text_timeout_s: float = Field(1.0, ge=0, description="Added to `request_timeout_s` for each text.")
    max_attempts: int = Field(
        6,
        ge=1,
        le=100,
        description="Attempts of one text that fails transiently, before it is a dead letter.",
    )
    batch_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="Attempts of a request of several texts, at most `max_attempts`, before it is halved.",
    )
    max_retry_s: float = Field(
        600.0,
        gt=0,
        description="Longest time for all attempts of a request that fails transiently, waits included.",
    )
    retry_tokens: int = Field(
        500,
        ge=14,
        description="Retry budget; a transient retry costs 14, a throttled one 5, and successes give back.",
    )
    retry_base_s: float = Field(
        0.1, ge=0, description="Upper bound of the first random wait; it doubles with each attempt."
    )
    retry_max_s: float = Field(20.0, ge=0, description="Upper bound of all random waits between attempts.")
    retry_after_max_s: float = Field(120.0, ge=0, description="Longest `Retry-After` that is honoured.")
    max_throttled_s: float = Field(
        900.0,
        ge=0,
        description="Longest time for which the service may throttle one request (429, or 503 with a hint).",
    )
    circuit_failures: int = Field(
        5, ge=1, description="Failures in a row that open the circuit: calls wait until a probe succeeds."
    )
    probe_max_s: float = Field(
        10.0, ge=0, description="Longest wait between two probes of a service that is down."
    )
    max_outage_s: float = Field(
        900.0, ge=0, description="If the service is down for longer, the range stops as `interrupted`."
    )
    extractor_name: str = Field("ner", min_length=1, description="Name of the extractor in stored results.")
    extractor_version: str = Field(
        "1",
        min_length=1,
        description="Version of the extractor; with a new one, every document is sent again.",
    )

    force: bool = Field(
        False, description="Send every document and replace its result, even if unchanged; a run of its own."
    )

    # --- storing results ---
    write_documents: int = Field(
        1000, ge=1, le=100_000, description="Most documents in a write, approximately."
    )
    write_chars: int = Field(
        4_000_000, ge=1, description="Most characters of text in a write, approximately."
    )
    write_wait_s: float = Field(
        0.02, ge=0, description="A write that is not full waits this long for each further batch."
    )
    write_concurrency: int = Field(2, ge=1, le=16, description="Writes at once, in each range.")
    checkpoint_s: float = Field(1.0, ge=0, description="Time between two checkpoints of a range.")
    max_ahead_batches: int = Field(
        256, ge=2, description="Most batches read beyond the checkpoint; a crash repeats these at most."
    )
    entities_collection: CollectionName | None = Field(
        None, description="Collection of extractions; by default `<source collection>_entities`."
    )
    dead_letters_collection: CollectionName | None = Field(
        None, description="Collection of dead letters; by default `<source collection>_dead_letters`."
    )
    keep_failed_text: bool = Field(False, description="Store the text in dead letters, not only its hash.")
    plans_collection: CollectionName = Field("engine_plans", description="Collection of plans.")
    checkpoints_collection: CollectionName = Field(
        "engine_checkpoints", description="Collection of checkpoints."
    )

    # --- the HTML report ---
    report_entities: int = Field(
        20,
        ge=0,
        le=1000,
        description="Most frequent entities that an HTML report shows (they are parts of texts); 0: none.",
    )
    report_dead_letters: int = Field(
        50,
        ge=0,
        le=10_000,
        description="Number of dead letters that an HTML report lists by `_id`, without their texts.",
    )

    # --- ending ---
    max_dead_letters: int = Field(
        0, ge=0, description="A run with more dead letters fails, after all its documents are done."
    )
    drain_s: float = Field(
        1.5, ge=0, description="Time that requests in flight have to finish after a range is stopped."
    )
    deadline_s: float | None = Field(
        None, gt=0, description="A range stops as `interrupted` after this time."
    )

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    @field_validator("filter")
    @classmethod
    def _parse_extended_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _extended(value)  # type: ignore[no-any-return]

    @field_validator("order_field")
    @classmethod
    def _check_order_field(cls, value: str) -> str:
        if value.startswith("_id."):
            raise ValueError("a part of _id cannot order the documents; use _id itself or another field")
        return value

    @model_validator(mode="after")
    def _check_concurrency(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise ValueError(
                f"min_concurrency = {self.min_concurrency} is above max_concurrency = {self.max_concurrency}"
            )
        return self

    @model_validator(mode="after")
    def _check_collections(self) -> Self:
        names = [n for n in (self.entities_collection, self.dead_letters_collection) if n]
        names += [self.plans_collection, self.checkpoints_collection]
        if len(set(names)) != len(names):
            raise ValueError("entities, dead letters, plans and checkpoints need four different collections")
        return self

    @property
    def extractor_label(self) -> str:
        """`name@version`, as stored with an extraction; one with another label is out of date."""
        return f"{self.extractor_name}@{self.extractor_version}"

    def entities_of(self, source_name: str) -> str:
        """Returns the name of the collection with a source's extractions."""
        return self.entities_collection or f"{source_name}_entities"

    def dead_letters_of(self, source_name: str) -> str:
        """Returns the name of the collection with a source's dead letters."""
        return self.dead_letters_collection or f"{source_name}_dead_letters"


def _extended(value: Any) -> Any:
    """Replaces Extended JSON such as `{"$oid": ...}` by BSON values; keeps operators and BSON values."""
    if isinstance(value, list):
        return [_extended(item) for item in value]
    if isinstance(value, dict):
        return json_util.object_hook({name: _extended(item) for name, item in value.items()})
    return value


def _explain(error: ValidationError) -> str:
    """Returns one line with each wrong setting, its value and the allowed values."""
    return "; ".join(_explain_one(dict(item)) for item in error.errors(include_url=False))


def _explain_one(item: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "settings"
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = (
            f"; did you mean {close[0]!r}?" if close else f"; settings are {', '.join(Settings.model_fields)}"
        )
        return f"unknown setting {name!r}{hint}"
    if name == "settings":
        return str(item["msg"]).removeprefix("Value error, ")
    return f"setting {name} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}"
