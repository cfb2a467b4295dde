"""The exit status and the messages of the demo's commands."""

import os
import signal

import pytest
from typer.testing import CliRunner

from demo import cli
from demo.celery.platforms import CELERY
from demo.errors import DemoError


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Runs a command with a function in place of `run_demo`; restores the signal handlers afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def call(run_demo, *arguments, command="run"):
        monkeypatch.setattr(cli, "run_demo", run_demo)
        return CliRunner().invoke(cli.app, [command, "--state-dir", str(tmp_path), *arguments])

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_the_exit_status_says_whether_all_is_well(invoke):
    """It is 0 only if `run_demo` says that every check passed."""
    assert invoke(lambda *_: True).exit_code == 0
    assert invoke(lambda *_: False).exit_code == 1


def test_an_error_is_told_with_the_end_of_its_log(invoke, tmp_path):
    """The output has the message, the last lines of the log, and its path."""
    log = tmp_path / "mongod.log"
    log.write_text("the disk is full\n", encoding="utf-8")

    def fail(*_):
        raise DemoError("mongod ended by itself", log=log)

    result = invoke(fail)
    assert result.exit_code == 1
    for part in ("mongod ended by itself", "the disk is full", "mongod.log"):
        assert part in result.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unwinds_the_demo(invoke, number):
    """Ctrl-C, SIGTERM and a closed terminal all end the demo; a second signal changes nothing."""

    def interrupted(*_):
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)

    result = invoke(interrupted)
    assert result.exit_code == 130
    assert "Interrupted" in result.output


def test_the_window_is_three_days_or_everything(invoke):
    """By default the demo is short; `--all` takes the whole history."""
    seen = []
    invoke(lambda options, _: seen.append(options) or True)
    invoke(lambda options, _: seen.append(options) or True, "--all", "--keep")
    short, whole = seen
    assert short.conf()["start"].startswith("2018-10-04")
    assert (short.conf()["range_documents"], short.keep) == (1_000, False)
    assert (whole.conf()["start"], whole.conf()["range_documents"], whole.keep) == (None, 10_000, True)


def test_the_demo_with_celery_has_a_folder_of_its_own(invoke, tmp_path):
    """It does not touch the data of `run`; its window has several ranges for each slot of each worker."""
    seen = []
    invoke(lambda options, _: seen.append(options) or True, "--keep", command="celery")
    (options,) = seen
    assert options.state_dir == tmp_path / "celery"
    assert options.platform is CELERY
    assert options.conf()["end"].startswith("2018-10-12")
    assert options.conf()["range_documents"] == 1_000
    assert options.keep


def test_down_with_nothing_running_says_so(tmp_path):
    """Its exit status is 0 then, too."""
    result = CliRunner().invoke(cli.app, ["down", "--state-dir", str(tmp_path)])
    assert (result.exit_code, result.output) == (0, "Nothing is running.\n")
