"""Shows the progress of the demo: live bars on a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from engine.wording import duration

_QUIET_INTERVAL_S = 5.0


class Display:
    """Shows the steps of the demo, which may overlap.

    Attributes:
        durations_s: Seconds of each finished step, by name, in the order in which they ended.
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
        """Show a step while the block runs."""
        started = self._clock()
        task = self._progress.add_task(name, total=None, note="")
        step = Step(name, task, self, started)
        yield step
        self.durations_s[name] = self._clock() - started
        self._progress.update(task, total=1, completed=1, note=step.note)
        self._print(f"✓ {name} ({duration(self.durations_s[name])}) {step.note}")

    def show(self, step: "Step", done: int, total: int) -> None:
        """Update the line of a step."""
        self._progress.update(step.task, completed=done, total=total or None, note=step.note)
        if self._clock() - step.printed_at >= self._interval_s:
            step.printed_at = self._clock()
            self._print(f"  {step.name}: {step.note}")

    def _print(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line.rstrip(), highlight=False, soft_wrap=True)


class Step:
    """A step that has begun.

    Attributes:
        name: What the step does.
        task: Its progress bar.
        note: Its current state in words.
        printed_at: When its last line was printed.
    """

    def __init__(self, name: str, task: TaskID, display: Display, started: float) -> None:
        self.name = name
        self.task = task
        self.note = ""
        self.printed_at = started
        self._display = display

    def update(self, note: str, *, done: int = 0, total: int = 0) -> None:
        """Show a new note, and how much is done."""
        self.note = note
        self._display.show(self, done, total)
