"""Runs DAGs in this process, by `dag.test`, and reads what a run has left in Airflow."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

from dataclasses import dataclass

from tests.support.places import DAGS


@dataclass
class Ended:
    """A DAG run that has ended.

    Attributes:
        assets: the extra values of the events of its Assets, by the Asset's name.
        states: by task id, or by task id and map index.
        tries: the number of tries, by the same keys.
        xcoms: the return values, by the same keys.
        labels: the rendered map indexes, by the same keys.
    """

    dag_id: str
    state: str
    dag_run_id: str
    states: dict
    tries: dict
    xcoms: dict
    labels: dict
    assets: dict

    @property
    def run_id(self) -> str:
        """The id that the engine gives the run."""
        return f"{self.dag_id}/{self.dag_run_id}"


def parsed():
    """The DAGs, by id. They are parsed again at each call, because a run changes their params."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=DAGS).dags


def run_in_place(dag, source, logical_date=None, unrun=None, **conf) -> Ended:
    """Runs a DAG over the source, in ranges of 20 documents and batches of 4 texts.

    Tasks whose id matches `unrun` are marked as successful and are not run.
    """
    defaults = {"database": source.database.name, "range_documents": 20, "batch_texts": 4}
    known = {name: value for name, value in defaults.items() if name in dag.params}
    when = {} if logical_date is None else {"logical_date": logical_date}
    return _ended(dag.test(run_conf={**known, **conf}, mark_success_pattern=unrun, **when))


def _ended(dag_run) -> Ended:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    def key(row):
        return row.task_id if row.map_index < 0 else (row.task_id, row.map_index)

    with create_session() as session:
        instances = dag_run.get_task_instances(session=session)
        values = session.query(XComModel).filter(
            XComModel.dag_id == dag_run.dag_id,
            XComModel.run_id == dag_run.run_id,
            XComModel.key == "return_value",
        )
        events = (
            session.query(AssetModel.name, AssetEvent.extra)
            .join(AssetEvent, AssetEvent.asset_id == AssetModel.id)
            .filter(AssetEvent.source_dag_id == dag_run.dag_id, AssetEvent.source_run_id == dag_run.run_id)
        )
        return Ended(
            dag_run.dag_id,
            str(dag_run.state),
            dag_run.run_id,
            {key(ti): str(ti.state) for ti in instances},
            {key(ti): ti.try_number for ti in instances},
            {key(row): XComModel.deserialize_value(row) for row in values},
            {key(ti): ti.rendered_map_index for ti in instances},
            dict(events.all()),
        )
