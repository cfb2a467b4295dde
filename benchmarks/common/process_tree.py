"""Measures CPU and memory of this process and its descendants, for candidates with several processes."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

_EVERY_S = 0.2
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_UTIME, _STIME, _PPID, _RSS = 11, 12, 1, 21
"""Fields of `/proc/<pid>/stat` (proc(5)), counted from the one after the command's name."""


class Tree:
    """Samples while the context lasts (Linux only). Memory that processes share counts for each of them.

    Attributes:
        peak_mb: the largest sum of their memory in one sample.
    """

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._ticks: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all processes, each as it was last sampled."""
        return sum(self._ticks.values()) / _TICKS

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        stats = _stats()
        members, grown = {os.getpid()}, True
        while grown:
            found = {pid for pid, fields in stats.items() if int(fields[_PPID]) in members} | members
            grown, members = found != members, found
        known = [(pid, stats[pid]) for pid in members if pid in stats]
        self._ticks |= {pid: int(fields[_UTIME]) + int(fields[_STIME]) for pid, fields in known}
        self.peak_mb = max(self.peak_mb, sum(int(fields[_RSS]) for _, fields in known) * _PAGE_MB)


def _stats() -> dict[int, list[str]]:
    stats = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            stats[int(place.name)] = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # the process has ended meanwhile
            continue
    return stats
