"""Writes into a target database what a run under way would have left there."""

from __future__ import annotations

from datetime import UTC, datetime


def keep(target, run_id, **checkpoint):
    """Writes a plan of two ranges and the checkpoint of the first one, with these fields changed."""
    run = f"ner_backfill/{run_id}"
    ranges = [
        {"range_id": f"000{at}", "label": f"{at}:00 .. {at + 1}:00 · 100 docs", "expected": 100}
        for at in range(2)
    ]
    target["engine_plans"].insert_one({"_id": run, "run_id": run, "ranges": ranges})
    now = datetime.now(UTC)
    begun = {
        "status": "running",
        "read": 40,
        "active_s": 8.0,
        "attempts": 1,
        "started_at": now,
        "updated_at": now,
    }
    target["engine_checkpoints"].insert_one(
        {"_id": f"{run}/0000", "run_id": run, "range_id": "0000", **begun, **checkpoint}
    )
