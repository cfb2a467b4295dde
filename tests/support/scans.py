"""The Scan of a collection by the settings of a run."""

from __future__ import annotations

from engine.reading.index_choice import choose_scan


async def scan_of(collection, settings):
    """Returns the Scan by which a run with these settings reads the collection."""
    tied = settings.tuning.max_tied_documents
    return await choose_scan(collection, settings.order_field, settings.filter, tied)
