"""The address of a service may hold a login and a key: nothing that is printed or stored shows them."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pymongo
import pytest
from aiohttp import web

from tests.support.ner_service import serve_in_thread
from tests.support.samples import INDEX, message

KEY, WORD, TOKEN = "Key7qX/a+b=", "pass7qX", "Token7qX"
ENDS = "7qX"
"""What all three of them contain."""

FUNCTIONS = """
import aiohttp

ADDRESS = "{url}/extract?code=Key7qX%2Fa%2Bb%3D"

class HTTPError(Exception):
    "As that of requests."

async def raising(texts):
    if "Hello 7" in texts:
        raise HTTPError(f"422 Client Error: Unprocessable for url: {{ADDRESS}}")
    return [[] for _ in texts]

async def asking(texts):
    async with aiohttp.ClientSession() as session, session.post(ADDRESS, json={{"texts": texts}}) as answer:
        answer.raise_for_status()
"""


class Place:
    """A database with 20 messages, a folder, and the command line in it."""

    def __init__(self, uri, database, folder):
        self.database, self.folder = database, folder
        self.environment = {**os.environ, "MONGODB_URI": uri, "COLUMNS": "400", "ENGINE_SERVICE_TOKEN": TOKEN}

    def run(self, *arguments):
        """The status of `run`, and all that it has printed, written and stored."""
        command = [sys.executable, "-m", "engine", "run", "-d", self.database.name, "-c", "messages"]
        quick = [f"tuning.{name}=0" for name in ("retry_base_s", "probe_max_s")] + ["max_outage_s=0"]
        settings = [part for setting in [*quick, "max_attempts=2"] for part in ("-s", setting)]
        ended = subprocess.run(
            [*command, *settings, "--verbose", "--html", "run.html", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        page = self.folder / "run.html"
        names = self.database.list_collection_names()
        stored = [str(document) for name in names for document in self.database[name].find()]
        shown = [ended.stdout, ended.stderr, page.read_text() if page.exists() else "", *stored]
        return ended.returncode, "\n".join(shown)


@pytest.fixture
def place(mongod_uri, tmp_path):
    """A place of one's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with pymongo.MongoClient(mongod_uri) as client:
        client[name]["messages"].create_index(INDEX)
        client[name]["messages"].insert_many([message(n, n) for n in range(20)])
        yield Place(mongod_uri, client[name], tmp_path)
        client.drop_database(name)


def with_secrets(url):
    """The address with a login and a key."""
    return url.replace("http://", f"http://me:{WORD}@") + "/extract?code=Key7qX%2Fa%2Bb%3D&format=json"


def echoing(status, *, of_one=False):
    """A fault that answers with the request's address, login, key and token, plain and quoted."""

    async def fault(request, texts):
        if of_one and "Hello 7" not in texts:
            return web.json_response({"results": [[] for _ in texts]})
        told = f"{request.url} {request.path_qs} {KEY} {dict(request.headers)} {with_secrets('http://h')} "
        return web.json_response({"error": told * 3, "key": KEY}, status=status)

    return fault


@pytest.mark.parametrize(
    ("status", "of_one"), [(401, False), (404, False), (429, False), (503, False), (422, True), (500, True)]
)
def test_trap_57_what_a_service_quotes_of_its_address_is_not_shown(place, status, of_one):
    """In output, events, page, plan, checkpoints and dead letters, whether all fail or one."""
    place.environment.pop("ENGINE_SERVICE_TOKEN")  # a login and a token exclude each other
    with serve_in_thread(down=echoing(status, of_one=of_one)) as service:
        code, shown = place.run("--service-url", with_secrets(service.url), "-s", "tuning.max_throttled_s=0")
    assert code == 1, shown
    assert f"HTTP {status}" in shown
    assert ENDS not in shown


@pytest.mark.parametrize(
    ("url", "code", "host"),
    [
        ("http://127.0.0.1:9/extract?code=Key7qX", 1, "127.0.0.1:9"),
        ("htp://user:pass7qX@host/x", 2, "htp://host/x"),
        ("http://user:7qX/pass@host/", 2, "an address that cannot be read"),
        ("ner:8080/?code=Key7qX", 2, "ner:8080/"),
        ("http://name.invalid/?code=Key7qX", 1, "name.invalid"),
    ],
)
def test_trap_57_an_address_that_does_not_work_is_told_without_its_secrets(place, url, code, host):
    """Exit status 2 if it is none, 1 if nobody is there."""
    ended, shown = place.run("--service-url", url)
    assert (ended, host in shown, ENDS in shown) == (code, True, False), shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("status", [200, 207])
def test_trap_57_a_key_in_the_error_of_a_text_is_not_shown(place, status):
    """In a message of the canary, or of the first request."""
    place.environment.pop("ENGINE_SERVICE_TOKEN")
    with serve_in_thread(down=echoing(status)) as service:
        code, shown = place.run("--service-url", with_secrets(service.url))
    assert (code in (1, 2), "/extract" in shown, ENDS in shown) == (True, True, False), shown


def test_a_token_that_a_service_quotes_is_not_shown(place):
    """It is sent in a header."""
    with serve_in_thread(down=echoing(403)) as service:
        _, shown = place.run("--service-url", service.url)
    assert "HTTP 403" in shown
    assert TOKEN not in shown


@pytest.mark.parametrize(("function", "says"), [("raising", "422 Client Error"), ("asking", "HTTP 404")])
def test_trap_57_addresses_in_errors_of_functions_are_not_shown(place, function, says):
    """requests, httpx, urllib3 and aiohttp put the whole address into their messages."""
    with serve_in_thread(down=echoing(404)) as service:
        (place.folder / "mine.py").write_text(FUNCTIONS.format(url=service.url))
        code, shown = place.run("--extractor", f"mine:{function}")
    assert (code, says in shown, "/extract" in shown) == (1, True, function == "raising"), shown
    assert ENDS not in shown


def test_an_address_in_the_place_of_a_function_is_not_shown(place):
    """A slip of the hand."""
    code, shown = place.run("--extractor", "http://me:pass7qX@h/x?code=Key7qX")
    assert (code, "--service-url" in shown, ENDS in shown) == (2, True, False), shown
