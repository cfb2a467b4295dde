"""Dead letters of a MongoDB collection, run again: what succeeds is resolved, and keeps its history.

A dead letter is a document that failed for good: see `kind`, `status` and `message` in
`<collection>_dead_letters`. Once the cause is gone (the service is fixed, the text corrected), trigger this.

- **Which dead letters?** All, or those of some *Classes*, or of a window of their documents (*Start*, *End*),
  or the first few (*Most dead letters*).
- **A letter that succeeds** gets `resolved_at` and `resolved_by`; nothing is removed. One that fails again
  keeps its `first_at`. The letter of a deleted document is resolved with `resolution: "deleted"`.
- **It fails** if more than *Dead letters allowed* fail again.
- **Connections, pool, results** are those of `ner_backfill`.
"""

from __future__ import annotations

from keyset_batch_airflow import replay_dag

replay_dag("ner_replay", dag_args={"doc_md": __doc__, "tags": ["ner", "mongodb", "replay"]})
