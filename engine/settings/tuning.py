"""Settings for experts: how the engine does what it does (docs/tuning.md)."""

from __future__ import annotations

import difflib
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import ConfigError


class Checked(BaseModel):
    """Settings that do not change; a wrong value raises a ConfigError in place of pydantic's error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    _prefix: ClassVar[str] = ""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError("; ".join(self._explained(dict(item)) for item in error.errors())) from None

    @classmethod
    def _names(cls) -> dict[str, str]:
        """The settings that may be given here, and their full names."""
        raise NotImplementedError

    @classmethod
    def _explained(cls, item: dict[str, Any]) -> str:
        """Describes one wrong setting: its name, its value and what is allowed."""
        message = str(item["msg"]).removeprefix("Value error, ")
        if not item["loc"]:
            return message
        names, (first, *rest) = cls._names(), item["loc"]
        name = ".".join([names.get(first, cls._prefix + first), *(str(part) for part in rest)])
        if item["type"] != "extra_forbidden":
            return f"setting {name} = {item['input']!r}: {message}"
        if first in names:
            return f"setting {first} is now {name}"
        close = difflib.get_close_matches(first, names, n=1)
        hint = f"did you mean {names[close[0]]!r}?" if close else f"settings are {', '.join(names.values())}"
        return f"unknown setting {name!r}; {hint}"


class Tuning(Checked):
    """Settings that hardly anyone needs to change; docs/tuning.md explains them.

    Times are in seconds (`_s`), sizes in bytes (`_bytes`) or in the unit that the name says.

    Raises:
        ConfigError: a value is not allowed, or a setting is unknown.
    """

    _prefix: ClassVar[str] = "tuning."

    @classmethod
    def _names(cls) -> dict[str, str]:
        """The settings of tuning; their full names begin with `tuning.`."""
        return TUNING_NAMES

    # --- planning: splitting the window into ranges ---
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

    # --- reading ---
    page_documents: int = Field(1024, ge=1, le=100_000, description="Largest number of documents in a page.")
    max_page_bytes: int = Field(
        8 << 20, ge=1, description="Most bytes in a page, estimated from the sizes seen so far."
    )
    page_target_s: float = Field(
        0.25, gt=0, description="Pages shrink while fetching one takes longer than this."
    )
    read_ahead_bytes: int | None = Field(
        None,
        ge=0,
        description="The next page is fetched ahead if its estimated size is below this, by default twice "
        "`max_page_bytes`; 0: never.",
    )
    max_tied_documents: int = Field(
        10_000, ge=1, description="Most documents with the same order value, if the index lacks `_id`."
    )

    # --- calling the service ---
    repeat_cache_texts: int = Field(
        4096,
        ge=0,
        description="Texts of a range whose answers are kept for equal texts; 0: every text is sent.",
    )
    timeout_charge_s: float = Field(
        5.0, ge=0, description="Time for which an attempt that timed out still counts as in flight."
    )
    max_answer_bytes: int = Field(
        64 << 20, ge=1024, description="Largest answer of the service, after decompression."
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
    max_throttled_s: float | None = Field(
        None,
        ge=0,
        description="Longest time for which the service may throttle one request (429, or 503 with a hint), "
        "by default `max_outage_s`.",
    )
    circuit_failures: int = Field(
        5, ge=1, description="Failures in a row that open the circuit: calls wait until a probe succeeds."
    )
    probe_max_s: float = Field(
        10.0, ge=0, description="Longest wait between two probes of a service that is down."
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
    max_ahead_batches: int | None = Field(
        None,
        ge=2,
        description="Most batches read beyond the checkpoint; a crash repeats these at most. By default four "
        "times `max_concurrency`, at least 32.",
    )

    # --- ending ---
    dead_letter_share_documents: int = Field(
        100,
        ge=1,
        description="`max_dead_letter_share` is judged once so many documents have an outcome.",
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


TUNING_NAMES = {name: f"tuning.{name}" for name in Tuning.model_fields}
"""The full names of the settings of tuning, by their names in it."""
