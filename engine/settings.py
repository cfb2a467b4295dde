"""Settings: from keywords, from the environment (`ENGINE_...`), from Airflow params.

A wrong value raises `ConfigError` and names the setting, the value and what is allowed.
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
    """Everything about a run that is not the window, the source, the extractor or the target.

    Times are in seconds (`_s`), sizes in bytes (`_bytes`) or in what the name says.

    Raises:
        ConfigError: a value is not allowed, or a keyword is no setting.
    """

    model_config = SettingsConfigDict(env_prefix="ENGINE_", extra="forbid", frozen=True)

    # What is read
    order_field: FieldPath = Field("created_at", description="Field of the order; `_id` breaks its ties.")
    order_type: Literal["date", "string", "number"] = Field(
        "date", description="BSON type of `order_field` in the window; not used for `_id`."
    )
    text_field: FieldPath = Field("text", description="Field that holds the text (dotted path).")
    filter: dict[str, Any] = Field(
        default_factory=dict, description="Extra MongoDB filter (Extended JSON where it comes as text)."
    )
    missing_text: Literal["dead_letter", "empty"] = Field(
        "dead_letter", description="A document without a text is a dead letter, or has no entities."
    )

    # How the window is split
    run_id: str | None = Field(
        None, min_length=1, description="Identity of the run; by default derived from its parameters."
    )
    strategy: Literal["auto", "exact", "counted", "sample"] = Field(
        "auto", description="How a window is split: walk the index, count between sampled keys, or sample."
    )
    max_counted_documents: int = Field(
        50_000_000, ge=0, description="Beyond it, `auto` does not count: ranges are estimates."
    )
    max_proven_documents: int = Field(
        100_000, ge=0, description="Plans up to it are proven by an independent count at one snapshot time."
    )
    range_documents: int = Field(25_000, ge=1, description="Documents a range.")
    max_ranges: int = Field(200, ge=1, le=1000, description="Most ranges; beyond it they grow.")
    range_concurrency: int = Field(
        2, ge=1, le=64, description="Ranges that `run` has in work at once, read in turn."
    )

    # How it is read
    page_documents: int = Field(1024, ge=1, le=100_000, description="Most documents a page.")
    max_page_bytes: int = Field(8 << 20, ge=1, description="Most bytes a page, from the sizes seen so far.")
    page_target_s: float = Field(
        0.25, gt=0, description="Pages shrink while fetching one takes longer than this."
    )
    read_ahead_bytes: int = Field(
        16 << 20, ge=0, description="The next page is fetched ahead if it should be smaller; 0: never."
    )

    max_tied_documents: int = Field(
        10_000, ge=1, description="Most documents of one order value, where the index lacks `_id`."
    )

    # How the service is called
    min_concurrency: int = Field(1, ge=1, description="The limit of requests in flight never falls below.")
    max_concurrency: int = Field(
        64, ge=1, le=1024, description="Most requests in flight, in one process; the limit adapts below it."
    )
    batch_texts: int = Field(64, ge=1, le=10_000, description="Most texts a request.")
    batch_chars: int = Field(100_000, ge=1, description="Most characters a request (one text at least).")
    repeat_cache_texts: int = Field(
        4096, ge=0, description="Texts of a range whose answers are kept for its repeats; 0: all are sent."
    )
    repeat_cache_chars: int = Field(1_000_000, ge=0, description="Most characters of these texts.")
    request_timeout_s: float = Field(
        30.0, gt=0, description="Time for one attempt, plus `text_timeout_s` a text."
    )
    timeout_charge_s: float = Field(
        5.0, ge=0, description="An attempt that timed out counts as in flight for so long after it."
    )
    text_timeout_s: float = Field(1.0, ge=0, description="Added to the time of an attempt for each text.")
    max_attempts: int = Field(
        6, ge=1, le=100, description="Attempts of a text that fails transiently, alone, before it is blamed."
    )
    batch_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="Attempts of several texts, at most `max_attempts`, before they are halved.",
    )
    max_retry_s: float = Field(
        600.0,
        gt=0,
        description="Longest time in attempts and waits between them, if a request fails transiently.",
    )
    retry_tokens: int = Field(
        500,
        ge=14,
        description="Retry quota: 14 for a transient retry, 5 for a throttled one; successes give back.",
    )
    retry_base_s: float = Field(
        0.1, ge=0, description="First bound of the random wait; doubles each attempt."
    )
    retry_max_s: float = Field(20.0, ge=0, description="Bound of the random wait between attempts.")
    retry_after_max_s: float = Field(120.0, ge=0, description="Longest `Retry-After` that is honoured.")
    max_throttled_s: float = Field(
        900.0, ge=0, description="Longest time one request may be put off by the service."
    )
    circuit_failures: int = Field(
        5, ge=1, description="Failures in a row that make all calls wait for a probe of the service."
    )
    probe_max_s: float = Field(
        10.0, ge=0, description="Longest wait between two probes of a service that is down."
    )
    max_outage_s: float = Field(
        900.0, ge=0, description="A range whose service is down for longer stops, `interrupted`."
    )
    extractor_name: str = Field("ner", min_length=1, description="Name of the extractor in what is written.")
    extractor_version: str = Field(
        "1", min_length=1, description="A new version makes every document be sent again."
    )

    force: bool = Field(
        False, description="Every document is sent and replaced, also unchanged ones; a run of its own."
    )

    # How it is written
    write_documents: int = Field(1000, ge=1, le=100_000, description="Most documents a write, about.")
    write_chars: int = Field(4_000_000, ge=1, description="Most characters of their texts, about.")
    write_wait_s: float = Field(
        0.02, ge=0, description="A write waits this long for each further batch to fill it."
    )
    write_concurrency: int = Field(2, ge=1, le=16, description="Writes at once, a range.")
    checkpoint_s: float = Field(1.0, ge=0, description="Time between two checkpoints of a range.")
    max_ahead_batches: int = Field(
        256, ge=2, description="Most batches read beyond the checkpoint: what a crash may repeat."
    )
    entities_collection: CollectionName | None = Field(
        None, description="Default `<source collection>_entities`."
    )
    dead_letters_collection: CollectionName | None = Field(
        None, description="Default `<source collection>_dead_letters`."
    )
    keep_failed_text: bool = Field(False, description="Dead letters hold the text too, not only its hash.")
    plans_collection: CollectionName = Field("engine_plans", description="Where plans are kept.")
    checkpoints_collection: CollectionName = Field(
        "engine_checkpoints", description="Where checkpoints are kept."
    )

    # What its HTML report shows
    report_entities: int = Field(
        20,
        ge=0,
        le=1000,
        description="Most frequent entities that an HTML report names (they are parts of texts); 0: none.",
    )
    report_dead_letters: int = Field(
        50,
        ge=0,
        le=10_000,
        description="Dead letters that an HTML report lists, by `_id`; never their texts.",
    )

    # When it ends
    max_dead_letters: int = Field(
        0, ge=0, description="More dead letters in a run fail it, once all is done."
    )
    drain_s: float = Field(
        1.5, ge=0, description="Time for requests in flight to end once a range is stopped."
    )
    deadline_s: float | None = Field(None, gt=0, description="A range stops after this time, `interrupted`.")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    @field_validator("filter")
    @classmethod
    def _from_extended_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _extended(value)  # type: ignore[no-any-return]

    @field_validator("order_field")
    @classmethod
    def _no_part_of_id(cls, value: str) -> str:
        if value.startswith("_id."):
            raise ValueError("a part of _id cannot be the order; use _id itself or another field")
        return value

    @model_validator(mode="after")
    def _least_below_most(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise ValueError(
                f"min_concurrency = {self.min_concurrency} is above max_concurrency = {self.max_concurrency}"
            )
        return self

    @model_validator(mode="after")
    def _collections_differ(self) -> Self:
        names = [n for n in (self.entities_collection, self.dead_letters_collection) if n]
        names += [self.plans_collection, self.checkpoints_collection]
        if len(set(names)) != len(names):
            raise ValueError("entities, dead letters, plans and checkpoints need four different collections")
        return self

    @property
    def extractor_label(self) -> str:
        """`name@version`: what an extraction records, and what makes an earlier one still valid."""
        return f"{self.extractor_name}@{self.extractor_version}"

    def entities_of(self, source_name: str) -> str:
        """The collection of a source's extractions."""
        return self.entities_collection or f"{source_name}_entities"

    def dead_letters_of(self, source_name: str) -> str:
        """The collection of a source's dead letters."""
        return self.dead_letters_collection or f"{source_name}_dead_letters"


def _extended(value: Any) -> Any:
    """Extended JSON such as `{"$oid": ...}` as BSON values; operators and BSON values as they are."""
    if isinstance(value, list):
        return [_extended(item) for item in value]
    if isinstance(value, dict):
        return json_util.object_hook({name: _extended(item) for name, item in value.items()})
    return value


def _explain(error: ValidationError) -> str:
    """One line a wrong setting, with its value and what is allowed."""
    return "; ".join(_explain_one(dict(item)) for item in error.errors(include_url=False))


def _explain_one(item: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in item["loc"]) or "settings"
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, Settings.model_fields, n=1)
        hint = (
            f"; did you mean {close[0]!r}?" if close else f"; settings are {', '.join(Settings.model_fields)}"
        )
        return f"{name} is no setting{hint}"
    if name == "settings":
        return str(item["msg"]).removeprefix("Value error, ")
    return f"setting {name} = {item['input']!r}: {item['msg'].removeprefix('Value error, ')}"
