"""Named entities of a MongoDB collection, range by range, with proof that nothing was lost.

`plan` splits the window into ranges of keys and keeps the plan in MongoDB. Each mapped `run_range` reads one
range, sends its texts to the NER service and writes the entities, with a checkpoint as it goes. `summarize`
succeeds only if every planned range finished, and what was read equals what was written plus what was
unchanged plus what was dead-lettered.

- **Start it** with *Trigger*: the form explains each parameter. Without *Start* and *End* it does everything.
- **How far is it?** See the tab *Progress* of the run, or its mapped tasks: each is named by its range.
- **A task failed?** It is retried from its checkpoint, and so is a cleared one: nothing is done twice. Once
  the cause is gone, clear the failed `run_range` instances together with `summarize`.
- **Texts the service refuses** become documents in `<collection>_dead_letters`, each with its reason. More
  than *Dead letters allowed* fail the run, after everything else is done. Once the service takes them,
  trigger `ner_replay`: only these are sent.
- **Results** are in `<collection>_entities` of the target database, one document each, under the same `_id`.
- **Load on the service** is at most *Requests in flight* times the slots of pool `extract_pool`, which must
  exist; with *Service capacity*, at most that.
- **Connections**: `mongo_default` (type MongoDB) and `ner_default` (type HTTP; a password alone is sent as a
  bearer token; extra `{"path": "...", "headers": {...}}`). `engine` must be installed on the workers.
"""

from __future__ import annotations

from keyset_batch_airflow.dags import backfill_dag

backfill_dag("ner_backfill", dag_args={"doc_md": __doc__, "tags": ["ner", "mongodb", "backfill"]})
