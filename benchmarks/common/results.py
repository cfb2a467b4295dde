"""Writes the result files of benchmarks: JSON in `benchmarks/results/`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"


def result_path(directory: Path, name: str, suffix: str, *, quick: bool) -> Path:
    """Returns the path of a result file. A quick version has its own, so it never replaces a full result."""
    return directory / f"{name}{'.quick' if quick else ''}.{suffix}"


def save(path: Path, result: dict[str, Any]) -> None:
    """Writes a result, with the date of the measurement."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dated = {**result, "taken_on": datetime.now(UTC).date().isoformat()}
    path.write_text(json.dumps(dated, indent=1) + "\n")
