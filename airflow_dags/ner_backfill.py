"""Named entities of a MongoDB collection, range by range, with proof that nothing was lost.

`plan` splits the window into ranges of keys and keeps the plan in MongoDB. Each mapped `run_range` reads one
range, sends its texts to the NER service and writes the entities, with a checkpoint as it goes. `summarize`
succeeds only if every planned range finished, and what was read equals what was written plus what was
unchanged plus what was dead-lettered.

- **Start it** with *Trigger*: the form explains each parameter. Without *Start* and *End* it does everything.
- **How far is it?** See the tab *Progress* of the run, or its mapped tasks: each is named by its range.
- **A task failed?** Airflow retries it, and it goes on from its checkpoint; so does a task that you clear.
  Nothing is done twice. Once the cause is gone, clear the failed `run_range` instances together with
  `summarize`.
- **Texts that the service refuses** become documents in `<collection>_dead_letters`, each with its reason. If
  there are more than *Dead letters allowed*, the run fails after everything else is done. Once the service
  accepts them, trigger `ner_replay`: it sends only these.
- **Results** are in `<collection>_entities` of the target database, one document each, under the same `_id`.
- **Load on the service** is at most *Requests in flight* times the slots of pool `extract_pool`, which must
  exist; with *Service capacity* it is at most that.
- **Connections**: `mongo_default` (type MongoDB) and `ner_default` (type HTTP; a password alone is sent as a
  bearer token; extra `{"path": "...", "headers": {...}}`).
"""

from __future__ import annotations

from keyset_batch_airflow import DEADLINE_S, POOL, extraction_dag, plan, run_range, summarize

# The tasks are written out here, so that you can copy this file and add tasks of your own before and after
# them. `backfill_dag("ner_backfill", ...)` makes the same DAG in one call.
with extraction_dag("ner_backfill", dag_args={"doc_md": __doc__, "tags": ["ner", "mongodb", "backfill"]}):
    # Splits the window into ranges of keys, and keeps the plan in MongoDB.
    planned = plan()

    # One mapped task for each range. The slots of the pool limit how many of them call the service at once;
    # the deadline lets a task save its checkpoint and stop before Airflow's time limit is over.
    reports = run_range.override(pool=POOL).partial(deadline_s=DEADLINE_S).expand(key_range=planned)

    # Runs whatever became of the ranges, and fails unless each of them is complete.
    summarize(planned, reports)
