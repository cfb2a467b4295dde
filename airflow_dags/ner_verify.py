"""Looks for documents of a MongoDB collection without a result: it fails while there are any.

`find` compares the window, as it is now, with the results. With *Repair*, `repair` sends exactly the missing
documents to the service. `conclude` verifies again after a repair, and fails while a document has neither a
result nor an unresolved dead letter.

- **Which documents?** Those of the window (*Start*, *End*). Without an end, documents that came after the
  last run count as missing too.
- **How many are missing?** See the log of `find`, which also names the first of them. If there are very many,
  trigger `ner_backfill` with the same window instead: it works in parallel, and sends nothing again.
- **To verify again later**, clear `find` and the tasks after it.
- **Connections, pool, results** are those of `ner_backfill`.
"""

from __future__ import annotations

from keyset_batch_airflow import verify_dag

verify_dag("ner_verify", dag_args={"doc_md": __doc__, "tags": ["ner", "mongodb", "verify"]})
