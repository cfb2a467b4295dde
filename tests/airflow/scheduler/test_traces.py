"""What runs leave behind: no secret and no text of a document, whatever went wrong."""

from __future__ import annotations

import pytest
from bson import json_util

from tests.support.misbehaviour import status
from tests.support.slow_ranges import text_of

pytestmark = [pytest.mark.scheduler, pytest.mark.timeout(300)]

WAS_THERE = "dead-lettered, and max_dead_letters allows 0"
"""Words of a task's log: finding them proves that the test searches the right files."""


def test_no_secret_and_no_text_is_left_anywhere(cluster, service, databases, secrets):
    """Neither is in any file of Airflow, nor in plans, checkpoints and dead letters.

    The files are the logs of tasks and servers, and the database with XComs and rendered fields. One run has
    a service that quotes the texts it refuses, one a refused login. The HTML reports of the other runs show
    entities, as they were asked to. (tests/airflow/test_security.py looks at a server that does not exist.)
    """
    service.delay_s = 0
    service.poison = {
        text_of(number): status(code, {"error": f"cannot take '{text_of(number)}'"})
        for number, code in ((5, 400), (400, 422))
    }
    params = {name: databases.params[name] for name in ("database", "collection", "target_database")}
    # Frequent entities, which the HTML report shows by default, are parts of texts.
    refused_texts = cluster.trigger("ner_backfill", {**databases.params, "report_entities": 0})
    refused_login = cluster.trigger("ner_verify", {**params, "mongo_conn_id": "mongo_refused"})

    for begun in (refused_texts, refused_login):
        begun.await_end("failed")

    # A refused login fails at once, because a retry cannot change it.
    assert [ti["try_number"] for ti in refused_login.instances("find")] == [1]
    assert databases.target["messages_dead_letters"].count_documents({}) == 2
    kept = [
        json_util.dumps(list(databases.target[name].find()))
        for name in ("engine_plans", "engine_checkpoints", "messages_dead_letters")
    ]
    mine = {f"{begun.name}.html" for begun in (refused_texts, refused_login)}
    paths = [path for path in cluster.home.parent.rglob("*") if path.is_file()]
    files = [path.read_bytes() for path in paths if path.suffix != ".html" or path.name in mine]
    assert mine & {path.name for path in paths}
    everything = [*(text.encode() for text in kept), *files]
    assert any(WAS_THERE.encode() in content for content in files)
    private = {**secrets, "text": "in Paris", "surface form": "Ada5"}
    assert [
        name for name, words in private.items() if any(words.encode() in found for found in everything)
    ] == []
