"""Settings made from one mapping: tests give those of tuning beside the others."""

from __future__ import annotations

from typing import Any

from engine import Settings, Tuning


def settings_with(base: Settings | None = None, /, **values: Any) -> Settings:
    """The settings with these values, for example `settings_with(SMALL, run_id="r", page_documents=2)`."""
    base = base or Settings()
    tuning = {name: values.pop(name) for name in Tuning.model_fields if name in values}
    kept = {name: getattr(base, name) for name in base.model_fields_set}
    return Settings(**{**kept, "tuning": {**base.tuning.model_dump(), **tuning}, **values})
