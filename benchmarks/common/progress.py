"""Shows the progress of a benchmark: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

err = Console(stderr=True)

LINE_S = 5.0
"""Without a terminal, at most one line is printed in this time."""


class Steps:
    """Counts the steps of a benchmark, and shows which one has begun."""

    def __init__(self, bar: Progress | None, title: str, total: int) -> None:
        self._bar, self._title, self._total = bar, title, total
        self._done, self._shown_at = 0, 0.0
        self._task = bar.add_task(title, total=total) if bar else TaskID(0)

    def at(self, label: str) -> None:
        """Shows that a step begins, or goes on under another label."""
        if self._bar:
            self._bar.update(self._task, description=f"{self._title}: {label}")
        elif time.monotonic() - self._shown_at >= LINE_S:
            self._shown_at = time.monotonic()
            err.print(f"{self._title} {self._done}/{self._total}: {label}", highlight=False)

    def done(self) -> None:
        """Counts a step that has ended."""
        self._done += 1
        if self._bar:
            self._bar.advance(self._task)


@contextmanager
def steps(title: str, total: int) -> Iterator[Steps]:
    """Shows the progress of `total` steps while the context lasts."""
    if not err.is_terminal:
        yield Steps(None, title, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        yield Steps(bar, title, total)
