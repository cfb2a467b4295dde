"""The demo's command line: `run`, `celery` and `down`."""

import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from demo.celery.platforms import CELERY
from demo.errors import DemoError
from demo.processes.supervisor import RECORDS_NAME, end_recorded
from demo.session import Options, clean_up, run_demo
from demo.summary import show_log
from demo.window import DEFAULT_WINDOW, EVERYTHING, WEEK_WINDOW

_FAILED = 1
_INTERRUPTED = 130
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DAGS = Path(__file__).parents[1] / "airflow_dags"

CELERY_STATE = "celery"
"""The folder of the demo with Celery, inside the state directory."""

StateDir = Annotated[Path, typer.Option(help="The folder for data, logs and the record of processes.")]

app = typer.Typer(add_completion=False, help=__doc__, no_args_is_help=True)


@app.command()
def run(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave all servers running.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Process the whole history instead of three days.")
    ] = False,
    state_dir: StateDir = Path(".demo"),
    dags: Annotated[Path, typer.Option(help="The folder with the DAG files.")] = _DAGS,
) -> None:
    """Extract the entities of real messages, on servers that this command starts."""
    options = Options(
        state_dir=state_dir.resolve(),
        dags_folder=dags.resolve(),
        window=EVERYTHING if everything else DEFAULT_WINDOW,
        range_documents=10_000 if everything else 1_000,
        keep=keep,
    )
    _run(options)


@app.command()
def celery(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave all servers running.")] = False,
    state_dir: StateDir = Path(".demo"),
    dags: Annotated[Path, typer.Option(help="The folder with the DAG files.")] = _DAGS,
) -> None:
    """Do the same on two Celery workers with PostgreSQL and Redis, and kill one of them during the run."""
    options = Options(
        state_dir=state_dir.resolve() / CELERY_STATE,
        dags_folder=dags.resolve(),
        window=WEEK_WINDOW,  # long enough to lose a worker before it ends
        range_documents=1_000,
        keep=keep,
        platform=CELERY,
    )
    _run(options)


def _run(options: Options) -> None:
    console = Console()
    interrupt_on_signals()
    try:
        passed = run_demo(options, console)
    except DemoError as error:
        _explain(console, error)
        raise typer.Exit(_FAILED) from error
    except KeyboardInterrupt as interrupt:
        console.print("Interrupted; everything that was started has ended.")
        raise typer.Exit(_INTERRUPTED) from interrupt
    raise typer.Exit(0 if passed else _FAILED)


@app.command()
def down(*, state_dir: StateDir = Path(".demo")) -> None:
    """End what `--keep` or a killed demo has left running; the data stay."""
    ended: list[str] = []
    for place in (state_dir.resolve(), state_dir.resolve() / CELERY_STATE):
        ended += (server.name for server in end_recorded(place / RECORDS_NAME).servers)
        clean_up(place)
    names = ", ".join(dict.fromkeys(ended))
    Console().print(f"Ended: {names}." if names else "Nothing is running.", soft_wrap=True)


def interrupt_on_signals() -> None:
    """Turn the signals that ask for an end into KeyboardInterrupt, so that all contexts are left."""
    for number in _ENDING_SIGNALS:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the demo by an exception. Later signals are ignored: the clean-up takes seconds and must finish."""
    for number in _ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _explain(console: Console, error: DemoError) -> None:
    console.print(f"[red]✗ {escape(str(error))}[/]", highlight=False, soft_wrap=True)
    if error.log is not None and error.log.exists():
        show_log(console, error.log)
