"""What the demo shows while it works: live bars on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_QUIET_INTERVAL_S = 5.0


class Display:
    """Shows steps, which may overlap.

    Attributes:
        durations_s: How long each finished step took, by name, in the order they ended.
    """

    def __init__(
        self,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = _QUIET_INTERVAL_S,
    ) -> None:
        self.durations_s: dict[str, float] = {}
        self._console = console
        self._clock = clock
        self._interval_s = interval_s
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Show a step for as long as the block runs."""
        started = self._clock()
        task = self._progress.add_task(name, total=None, note="")
        step = Step(name, task, self, started)
        yield step
        self.durations_s[name] = self._clock() - started
        self._progress.update(task, total=1, completed=1, note=step.note)
        self._say(f"✓ {name} ({self.durations_s[name]:.1f} s) {step.note}")

    def show(self, step: "Step", done: int, total: int) -> None:
        """Bring the step's line up to date."""
        self._progress.update(step.task, completed=done, total=total or None, note=step.note)
        if self._clock() - step.said_at >= self._interval_s:
            step.said_at = self._clock()
            self._say(f"  {step.name}: {step.note}")

    def _say(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line.rstrip(), highlight=False, soft_wrap=True)


class Step:
    """One step under way.

    Attributes:
        name: What is done.
        task: Its bar.
        note: What is known of it.
        said_at: When a line about it was printed.
    """

    def __init__(self, name: str, task: TaskID, display: Display, started: float) -> None:
        self.name = name
        self.task = task
        self.note = ""
        self.said_at = started
        self._display = display

    def update(self, note: str, *, done: int = 0, total: int = 0) -> None:
        """Say how far it is."""
        self.note = note
        self._display.show(self, done, total)
