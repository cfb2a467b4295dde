"""Settings of a run: from keywords, from environment variables (`ENGINE_...`) or from Airflow params.

The settings here are those that a user may need; `tuning.py` holds the others. A wrong value raises a
`ConfigError` that names the setting, its value and the allowed values.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from engine.errors import ConfigError
from engine.keys.order_unit import check_unit
from engine.settings.filters import REFUSED, extended, operators
from engine.settings.tuning import TUNING_NAMES, Checked, Tuning

FieldPath = Annotated[str, Field(pattern=r"^[^.$\x00][^.\x00]*(\.[^.$\x00][^.\x00]*)*$")]
PREFIX = "ENGINE_"
"""What the names of environment variables begin with."""

CollectionName = Annotated[str, Field(pattern=r"^[^$\x00]+$", max_length=255)]


class Settings(Checked):
    """The settings of a run: everything except window, source, extractor and target.

    Times are in seconds (`_s`), sizes in bytes (`_bytes`) or in the unit that the name says.

    Raises:
        ConfigError: a value is not allowed, or a setting is unknown.
    """

    # --- the documents ---
    order_field: FieldPath = Field(
        "created_at", description="Field that orders the documents; `_id` breaks ties."
    )
    order_type: Literal["date", "string", "number", "objectId", "timestamp"] = Field(
        "date",
        description="BSON type of `order_field` in a window, by which its ends are read ([below](#windows)).",
    )
    order_unit: str | None = Field(
        None,
        description="How times are written in numbers (`s`, `ms`, `us`) or strings (a `strftime` pattern).",
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
    range_documents: int = Field(25_000, ge=1, description="Documents in a range.")
    max_ranges: int = Field(
        200, ge=1, le=1000, description="Largest number of ranges; larger windows get larger ranges."
    )
    range_concurrency: int = Field(
        2, ge=1, le=64, description="Ranges that `run` processes at once; one of them reads at a time."
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
    max_text_chars: int | None = Field(
        None, ge=1, description="Longer texts are told as possibly truncated; formats have defaults."
    )
    request_timeout_s: float = Field(
        30.0, gt=0, description="Time for one attempt, plus `text_timeout_s` for each text."
    )
    text_timeout_s: float = Field(1.0, ge=0, description="Added to `request_timeout_s` for each text.")
    max_attempts: int = Field(
        6,
        ge=1,
        le=100,
        description="Attempts of one text that fails transiently, before it is a dead letter.",
    )
    max_outage_s: float = Field(
        900.0, ge=0, description="If the service is down for longer, the range stops as `interrupted`."
    )
    trust_env: bool = Field(False, description="Obey `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`.")
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
    checkpoint_s: float = Field(1.0, ge=0, description="Time between two checkpoints of a range.")
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

    # --- ending ---
    max_dead_letters: int = Field(
        0, ge=0, description="A run with more dead letters fails, after all its documents are done."
    )
    max_dead_letter_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="A run in which a larger share of the documents are dead letters is stopped at once.",
    )
    drain_s: float = Field(
        1.5, ge=0, description="Time that requests in flight have to finish after a range is stopped."
    )
    deadline_s: float | None = Field(None, gt=0, description="Time after which a range is `interrupted`.")

    # --- everything else ---
    tuning: Tuning = Field(
        default_factory=Tuning, description="Settings that hardly anyone needs: see [tuning.md](tuning.md)."
    )

    @classmethod
    def _names(cls) -> dict[str, str]:
        """The settings, and those of tuning."""
        return {**{name: name for name in cls.model_fields}, **TUNING_NAMES}

    @classmethod
    def from_environment(cls, **given: Any) -> Self:
        """Reads the settings that are not given from environment variables.

        The variable of a setting is its name in capitals after `ENGINE_`; two underscores stand before a name
        of `tuning`: `ENGINE_MAX_CONCURRENCY=32`, `ENGINE_TUNING__PAGE_DOCUMENTS=2048`.

        Raises:
            ConfigError: a value is not allowed, or a setting is unknown.
        """
        from pydantic_settings import EnvSettingsSource, SettingsError  # noqa: PLC0415  (only here: it is slow)

        reader: Any = EnvSettingsSource
        try:
            found: dict[str, Any] = reader(cls, env_prefix=PREFIX, env_nested_delimiter="__")()
        except SettingsError as error:
            raise ConfigError(f"{PREFIX}...: {error}; the value must be JSON ({error.__cause__})") from None
        # Those that were settings once are refused, because ignoring them would change what a run does.
        moved = {
            name: os.environ[key]
            for name in Tuning.model_fields
            if (key := f"{PREFIX}{name.upper()}") in os.environ
        }
        found |= moved
        tuning = given.get("tuning", {})
        chosen = tuning.model_dump(exclude_unset=True) if isinstance(tuning, Tuning) else tuning
        if "tuning" in found and isinstance(chosen, dict):
            given["tuning"] = {**found["tuning"], **chosen}
        return cls(**{**found, **given})

    @field_validator("filter")
    @classmethod
    def _parse_extended_json(cls, value: dict[str, Any]) -> dict[str, Any]:
        if found := REFUSED & operators(value):
            raise ValueError(
                f"{min(found)} cannot be used: it needs an index of its own, or counting does not allow it, "
                "or it selects other documents each time. Use operators such as $regex, $geoWithin and $expr"
            )
        return extended(value)  # type: ignore[no-any-return]

    @field_validator("order_field")
    @classmethod
    def _check_order_field(cls, value: str) -> str:
        if value.startswith("_id."):
            raise ValueError("a part of _id cannot order the documents; use _id itself or another field")
        if number := next((part for part in value.split(".") if part.isdecimal()), None):
            raise ValueError(
                f"{number} would be a place in an array, which cannot order the documents; copy the value "
                "into a field of its own and use that"
            )
        return value

    @model_validator(mode="after")
    def _check_order_unit(self) -> Self:
        if self.order_unit is not None:
            try:
                check_unit(self.order_type, self.order_unit)
            except ValueError as error:
                raise ValueError(f"setting order_unit = {self.order_unit!r}: {error}") from None
        return self

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

    # --- settings of tuning that follow from others if they are not given ---

    @property
    def read_ahead_bytes(self) -> int:
        """`tuning.read_ahead_bytes`: two full pages, so that an estimate that is too high costs nothing."""
        given = self.tuning.read_ahead_bytes
        return 2 * self.tuning.max_page_bytes if given is None else given

    @property
    def max_throttled_s(self) -> float:
        """`tuning.max_throttled_s`: a service that is busy is waited for as long as one that is down."""
        given = self.tuning.max_throttled_s
        return self.max_outage_s if given is None else given

    @property
    def max_ahead_batches(self) -> int:
        """`tuning.max_ahead_batches`: never fewer than the requests in flight, and enough for full writes.

        Of four batches for each request, one is in flight and one waits for it; the others are written. 32
        hold the texts of two full writes, for few requests in flight to a fast service.
        """
        given = self.tuning.max_ahead_batches
        return max(32, 4 * self.max_concurrency) if given is None else given

    # --- names that follow from settings ---

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


def assigned(assignments: Iterable[str]) -> dict[str, Any]:
    """Returns settings by name from NAME=VALUE, where the value is a JSON object or text.

    A name may be one of tuning: `tuning.page_documents=2048` is `{"tuning": {"page_documents": "2048"}}`.

    Raises:
        ConfigError: an assignment has no `=`, or its value is not valid JSON.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment!r}: write it as NAME=VALUE")
        inner = name.removeprefix("tuning.")
        place = values if inner == name else values.setdefault("tuning", {})
        try:
            place[inner] = json.loads(value) if value.startswith("{") else value
        except ValueError as error:
            raise ConfigError(f"--set {name}: the value is not valid JSON ({error})") from None
    return values
