"""The params of the DAGs, as the trigger form and the API validate them."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine import ConfigError, Settings
from engine.extractors.formats import FORMATS

WRONG = {
    "start": 20250101,
    "database": "",
    "order_type": "regex",
    "order_unit": "",
    "filter": "{}",
    "service_format": "grpc",
    "range_documents": 0,
    "max_ranges": 1001,
    "max_concurrency": "64",
    "batch_texts": 0,
    "max_dead_letters": -1,
    "service_capacity": 0,
    "pool_slots": -1,
    "mongo_conn_id": None,
    "service_conn_id": "http://user:password@host",
}


MOMENTS = {
    "2018-10-01": True,
    "2018-10-01T06:00": True,
    "2018-10-01 06:00:00.123+02:00": True,
    "2018-10-01T06:00:00Z": True,
    "yesterday": False,
    "01.10.2018": False,
    "2018-10-01T6": False,
}


@pytest.mark.parametrize(("moment", "allowed"), MOMENTS.items())
def test_the_form_takes_a_window_s_ends_as_the_engine_does(dag, moment, allowed):
    """The form refuses what the engine cannot read as a moment, and accepts what it can."""
    from airflow.sdk.exceptions import ParamValidationError

    for name in ("start", "end"):
        if allowed:
            assert dag.params.get_param(name).resolve(moment) == moment
            datetime.fromisoformat(moment)
        else:
            with pytest.raises(ParamValidationError):
                dag.params.get_param(name).resolve(moment)


def test_windows_of_another_order_have_ends_of_its_type(airflow):
    """A DAG whose order field holds numbers accepts numbers as the ends of a window."""
    from keyset_batch_airflow import backfill_dag

    dag = backfill_dag("numbered", order_type="number", order_field="seq", start="10")
    assert dag.params.get_param("end").resolve("2000") == "2000"


REFUSED = [
    ({"order_type": "number"}, "give order_unit, .*s, ms or us"),
    ({"order_type": "string"}, "give order_unit, .*a strftime pattern"),
    ({"order_type": "string", "order_field": "_id"}, "give order_unit"),
    ({"order_type": "string", "order_unit": "%d.%m.%Y"}, "do not sort by time"),
    ({"order_type": "number", "order_unit": "ns"}, "give s, ms or us"),
    ({"order_unit": "s"}, "for order_type = 'number', not 'date'"),
    ({"order_type": "bool"}, "order_type = 'bool'"),
]


@pytest.mark.parametrize(("order", "says"), REFUSED)
def test_an_order_that_data_intervals_do_not_fit_is_refused_where_the_dag_is_parsed(airflow, order, says):
    """Otherwise each scheduled run would fail. A verification with a schedule has data intervals, too."""
    from keyset_batch_airflow import incremental_dag, verify_dag

    first = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ConfigError, match=says):
        incremental_dag("refused", start_date=first, **order)
    with pytest.raises(ConfigError, match=says):
        verify_dag("refused", start_date=first, cron="@daily", **order)


def test_a_window_by_hand_needs_no_unit(airflow):
    """DAGs that are only triggered take numbers and strings as they are."""
    from keyset_batch_airflow import backfill_dag, replay_dag, verify_dag

    for make in (backfill_dag, replay_dag, verify_dag):
        assert make(make.__name__, order_type="string", start="a").params["start"] == "a"


def test_choices_of_the_form_say_what_they_mean(dags):
    """Each choice has a description; the run gets the value itself."""
    told = 0
    for dag in dags.values():
        for name in dag.params:
            schema = dag.params.get_param(name).schema
            if "values_display" in schema:
                told += 1
                assert set(schema["values_display"]) == set(schema.get("enum") or schema["examples"]), name
    assert told


def test_params_are_the_engine_s_settings(dags):
    """Params that are settings have the engine's defaults, and the formats are the engine's."""
    from keyset_batch_airflow.params import SETTINGS

    settings = Settings()
    assert len(SETTINGS) == 14
    for dag in dags.values():
        for name in set(SETTINGS) & set(dag.params):
            assert dag.params[name] == getattr(settings, name), name
        for name in {"strategy", "report_entities"} & set(dag.params):
            assert dag.params[name] == getattr(settings.tuning, name), name
        assert dag.params.get_param("service_format").schema["enum"] == list(FORMATS)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_params_are_refused_before_a_run_starts(dag, name):
    """The trigger form and the API validate each param by its schema."""
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(WRONG[name])


def test_no_param_is_a_secret(dag):
    """Passwords, tokens and addresses come from Connections; params only name these."""
    names = set(dag.params)
    assert {name for name in names if name.endswith("_conn_id")} == {
        "mongo_conn_id",
        "target_conn_id",
        "service_conn_id",
        "airflow_conn_id",
    }
    assert not [
        name for name in names if any(word in name for word in ("password", "token", "uri", "secret"))
    ]
