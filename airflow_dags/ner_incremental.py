"""Named entities of the new documents of a MongoDB collection: a run a day, with proof that nothing was lost.

Each run processes its data interval and, for documents that came late, the *Lookback* before it. Documents
that already have their entities are not sent again. Intervals that were missed are caught up, one run at a
time. A run that succeeded updates the Asset `chat.messages_entities`, on which other DAGs can be scheduled.

- **Before you unpause it**, set `start_date` in its file to the end of your backfill: the DAG catches up from
  there.
- **A task failed?** As in `ner_backfill`: it is retried from its checkpoint, and can be cleared.
- **Documents later than the lookback** are found by `ner_verify`, which can also repair them.
- **A window of your own**: trigger it with *Start* and *End*.
- **Connections, pool, results** are those of `ner_backfill`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from keyset_batch_airflow import incremental_dag

incremental_dag(
    "ner_incremental",
    start_date=datetime(2026, 11, 1, tzinfo=UTC),
    dag_args={"doc_md": __doc__, "tags": ["ner", "mongodb", "incremental"]},
)
