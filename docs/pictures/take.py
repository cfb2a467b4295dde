"""Takes the pictures of Airflow's user interface: `make pictures`.

Starts the servers of the demo (MongoDB, the NER service, Airflow) with real messages in a folder of its own,
runs the DAG, and takes four pictures in a real browser. A picture is taken only when the page shows its
subject. If that never happens, the script fails.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright
from rich.console import Console

from demo.display import Display
from demo.errors import DemoError
from demo.following import CHECKPOINTS, DagRun
from demo.messages import DATABASE
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import PROGRESS_TAB
from demo.servers.airflow_api import FINAL_STATES
from demo.servers.mongod import OWN_SERVER
from demo.servers.startup import DAG_ID, Servers, running_servers

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
STATE = REPOSITORY / ".demo" / "pictures"

RUN = DagRun(DAG_ID, "backfill-october-2018")
PARAMS = {
    "start": "2018-10-01",
    "end": "2018-10-15",
    "range_documents": 2000,
    "max_concurrency": 4,
}
"""Ranges take some twenty seconds, four at a time: the pictures show ended, running and waiting ones."""

TALL = ViewportSize(width=1600, height=1280)
WIDTH = 1280
"""The width of a picture in pixels. The window is wider, and the picture is scaled down."""
WINDOW = ViewportSize(width=1600, height=1000)
MOST_BYTES = 200_000
COLOURS = 256
WAIT_MS = 30_000
RUN_S = 600.0
SUCCEEDED, RUNNING = 2, 3
"""A picture of a running DAG is taken when at least this many ranges have succeeded, and are running."""
BROWSER_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""With these options the browser requests only the pages of this machine."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A browser page that shows one Airflow.

    Attributes:
        url: the address of Airflow.
    """

    page: Page
    url: str

    def visit(self, path: str) -> None:
        """Opens a page of the user interface, and waits until it is rendered."""
        self.page.goto(f"{self.url}/{path}")
        expect(self.page.get_by_test_id("nav-home-link")).to_contain_text("Home")

    def take(self, name: str) -> None:
        """Saves a picture of the visible part of the page, with few colours so that the file is small."""
        expect(self.page.locator(".chakra-spinner, .chakra-skeleton")).to_have_count(0)
        picture = Image.open(io.BytesIO(self.page.screenshot(animations="disabled")))
        path = HERE / f"{name}.png"
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
        size = path.stat().st_size
        print(f"{path.relative_to(REPOSITORY)}: {picture.width} x {picture.height}, {size:,} bytes")
        if size > MOST_BYTES:
            raise DemoError(f"{path} has {size:,} bytes: at most {MOST_BYTES:,} are allowed")


def main() -> int:
    """Takes all pictures. Returns the exit status: 1 if something is missing or wrong."""
    os.environ.pop(OWN_SERVER, None)  # the pictures show fresh data, never that of the user's own server
    shutil.rmtree(STATE, ignore_errors=True)
    console = Console()
    try:
        chromium = _chromium()
        with (
            Supervisor(STATE) as supervisor,
            Display(console) as display,
            running_servers(STATE, REPOSITORY / "airflow_dags", supervisor, display) as servers,
            _browser(chromium) as browser,
        ):
            _take_all(servers, browser, supervisor.check)
    except (DemoError, AssertionError) as error:
        console.print(f"✗ {error}", markup=False, highlight=False, soft_wrap=True)
        return 1
    return 0


def _take_all(servers: Servers, browser: Browser, check: Callable[[], object]) -> None:
    api = servers.airflow.api
    page = browser.new_page(
        viewport=WINDOW, device_scale_factor=WIDTH / WINDOW["width"], color_scheme="light"
    )
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)
    camera = Camera(page, api.url)
    _form(camera)
    api.trigger(RUN.dag_id, RUN.dag_run_id, PARAMS)
    _await_middle(servers, check)
    _progress(camera)
    _grid(camera)
    _await_end(servers, check)
    _report(camera)


def _form(camera: Camera) -> None:
    """Takes the trigger form, filled in for this run."""
    page = camera.page
    page.set_viewport_size(TALL)
    camera.visit(f"dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for name in ("start", "end"):
        form.locator(f"[name=element_{name}]").fill(str(PARAMS[name]))
    for section in ("Documents", "Service", "Size and limits", "Connections"):
        expect(form.get_by_text(section, exact=True)).to_be_visible()
    expect(form.get_by_text("First moment of the window, such as 2018-10-01")).to_be_visible()
    camera.take("params_form")
    page.set_viewport_size(WINDOW)


def _progress(camera: Camera) -> None:
    """Takes the plugin's tab while ranges run."""
    camera.visit(f"{_run_path()}/plugin/{PROGRESS_TAB}")
    seen = camera.page.frame_locator("iframe[title=Progress]").locator("main")
    for status, at_least in (("running", RUNNING), ("succeeded", SUCCEEDED), ("pending", 1)):
        expect(seen.locator(f"td.{status}").nth(at_least - 1)).to_be_visible()
    expect(seen).to_contain_text("Verdict: Not finished yet")
    expect(seen).to_contain_text(re.compile(r"time left\s*\d+ (s|min)"))
    before = seen.inner_text()
    expect(seen).not_to_have_text(before)  # its script has loaded new numbers
    camera.take("progress")


def _grid(camera: Camera) -> None:
    """Takes the grid of the mapped task, whose instances are named by their ranges."""
    camera.visit(f"{_run_path()}/tasks/run_range/mapped")
    page = camera.page
    expect(page.get_by_text(re.compile(r"^2018-10-0\d \d\d:\d\d.* \.\. .* docs$")).first).to_be_visible()
    for state in ("Running", "Success"):
        expect(page.get_by_role("row").get_by_text(state).first).to_be_visible()
    camera.take("mapped_grid")


def _report(camera: Camera) -> None:
    """Takes the saved report, reached by the link of the task that saved it."""
    camera.visit(f"{_run_path()}/tasks/summarize/details")
    camera.page.set_viewport_size(TALL)
    camera.page.get_by_role("link", name="Run report").click()
    expect(camera.page.locator("body")).to_contain_text(RUN.run_id)
    expect(camera.page.locator("body")).to_contain_text("Reconciled")
    camera.take("report")


def _run_path() -> str:
    return f"dags/{RUN.dag_id}/runs/{RUN.dag_run_id}"


def _await_middle(servers: Servers, check: Callable[[], object]) -> None:
    """Waits until some ranges have succeeded and others are running."""
    checkpoints = servers.client[DATABASE][CHECKPOINTS]
    succeeded, running = {"status": "succeeded"}, {"status": "running", "read": {"$gt": 0}}

    def in_the_middle() -> bool:
        return (
            checkpoints.count_documents(succeeded) >= SUCCEEDED
            and checkpoints.count_documents(running) >= RUNNING
        )

    _await(in_the_middle, "the middle of the run", check)


def _await_end(servers: Servers, check: Callable[[], object]) -> None:
    """Waits until the run ends, and fails unless it succeeded."""
    api = servers.airflow.api
    _await(lambda: api.run_state(RUN.dag_id, RUN.dag_run_id) in FINAL_STATES, "the end of the run", check)
    state = api.run_state(RUN.dag_id, RUN.dag_run_id)
    if state != "success":
        raise DemoError(f"the run ended as {state}: see the logs in {STATE}")


def _await(probe: Callable[[], bool], what: str, check: Callable[[], object]) -> None:
    deadline = time.monotonic() + RUN_S
    while not probe():
        check()
        if time.monotonic() > deadline:
            raise DemoError(f"{what} did not come within {RUN_S:.0f} s")
        time.sleep(0.2)


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise DemoError("Chromium is missing: apt-get install chromium")


@contextmanager
def _browser(program: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(BROWSER_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(main())
