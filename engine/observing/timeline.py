"""A range's course over time in a bounded number of samples, and that of a run as their sum. Pure.

A sample tells of the time since the one before: what was in flight then, and how far the documents were at
its end. So a sum over ranges needs no samples of the same time, and between attempts nothing is in flight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, Self

MOST_SAMPLES = 60
"""Of a range; when there are more, each two become one. About 3 kB of its checkpoint."""

EVERY_S = 1.0
"""Samples come no closer, at first: as often as checkpoints do by default."""


class Sample(NamedTuple):
    """How a range stood at a time, and what was in flight since the sample before.

    Attributes:
        documents: accounted for so far, in all attempts.
        in_flight: requests at the service, in the mean; this range's share where ranges share a limit.
        limit: most of them that were allowed, likewise.
    """

    at: datetime
    documents: int
    in_flight: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """Samples in the order of time, at most `MOST_SAMPLES`; the last one is the newest, whenever it came.

    Attributes:
        every_s: seconds between two of them, about; doubles whenever they are too many.
    """

    samples: tuple[Sample, ...] = ()
    every_s: float = EVERY_S

    def begun(self, at: datetime, documents: int) -> Timeline:
        """With the beginning of an attempt: nothing was in flight before it."""
        return self._with((*self.samples, Sample(at, documents)))

    def seen(self, sample: Sample) -> Timeline:
        """With one more sample; it is united with the last one if that is too close to the one before."""
        samples = self.samples
        if len(samples) > 1 and _seconds(samples[-2], samples[-1]) < self.every_s:
            return self._with((*samples[:-1], _united(samples[-2], samples[-1], sample)))
        return self._with((*samples, sample))

    def _with(self, samples: tuple[Sample, ...]) -> Timeline:
        if len(samples) <= MOST_SAMPLES:
            return replace(self, samples=samples)
        return Timeline(tuple(_halved(samples)), self.every_s * 2)

    def to_document(self) -> dict[str, Any]:
        """For its checkpoint: columns, which take half the bytes of rows."""
        columns = dict(zip(Sample._fields, map(list, zip(*self.samples, strict=True)), strict=False))
        return {"every_s": self.every_s, **columns}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any] | None) -> Self:
        """The Timeline that `to_document` was called on; an empty one for a checkpoint without."""
        columns = [(stored or {}).get(name, []) for name in Sample._fields]
        samples = tuple(Sample(*row) for row in zip(*columns, strict=True))
        return cls(samples, (stored or {}).get("every_s", EVERY_S))


def _halved(samples: Sequence[Sample]) -> Iterator[Sample]:
    """The first one, then one for each two; the last one stays the last."""
    yield samples[0]
    for at in range(2, len(samples), 2):
        yield _united(samples[at - 2], samples[at - 1], samples[at])
    if len(samples) % 2 == 0:
        yield samples[-1]


def _united(before: Sample, first: Sample, second: Sample) -> Sample:
    """One sample for the time of two: means by their time."""
    whole_s, part_s = _seconds(before, second), _seconds(before, first)
    share = part_s / whole_s if whole_s else 0.0

    def mean(one: float, other: float) -> float:
        return round(one * share + other * (1 - share), 2)

    in_flight, limit = mean(first.in_flight, second.in_flight), mean(first.limit, second.limit)
    return second._replace(in_flight=in_flight, limit=limit)


def _seconds(one: Sample, other: Sample) -> float:
    return max(0.0, (other.at - one.at).total_seconds())


# --- of a run ---


class Course(NamedTuple):
    """A run in equal steps of time, from `start` on: one value a step.

    Attributes:
        documents_per_s: accounted for in the step.
        in_flight: requests at the service, in the mean, of all ranges together; `limit` likewise.
    """

    start: datetime
    step_s: float
    documents_per_s: tuple[float, ...]
    in_flight: tuple[float, ...]
    limit: tuple[float, ...]

    @property
    def end(self) -> datetime:
        """Of the last step."""
        return self.start + timedelta(seconds=self.step_s * len(self.limit))


def course_of(timelines: Iterable[Timeline], most_steps: int = 120) -> Course | None:
    """The sum over ranges; None where there are not two samples of one.

    Steps are no finer than the finest samples.
    """
    kept = [timeline for timeline in timelines if len(timeline.samples) > 1]
    if not kept:
        return None
    start = min(timeline.samples[0].at for timeline in kept)
    span_s = max((max(s.at for s in timeline.samples) - start).total_seconds() for timeline in kept)
    finest_s = min(timeline.every_s for timeline in kept)
    steps = max(1, min(most_steps, int(span_s / finest_s)))
    step_s = max(span_s, 0.001) / steps
    sums = [[0.0] * steps for _ in range(3)]
    for timeline in kept:
        for before, after in pairwise(timeline.samples):
            _spread(before, after, start, step_s, sums)
    return Course(start, step_s, *(tuple(values) for values in sums))


def _spread(before: Sample, after: Sample, start: datetime, step_s: float, sums: list[list[float]]) -> None:
    """Adds what was between two samples to the steps it lies in, in proportion to their time."""
    began_s, ended_s = ((sample.at - start).total_seconds() for sample in (before, after))
    last = len(sums[0]) - 1
    length_s = max(ended_s - began_s, 1e-6)
    gained = max(0, after.documents - before.documents)  # an attempt may begin before where the last one was
    for step in range(min(last, int(began_s / step_s)), min(last, int(ended_s / step_s)) + 1):
        inside_s = min(ended_s, (step + 1) * step_s) - max(began_s, step * step_s)
        share = max(0.0, inside_s) / step_s
        sums[0][step] += gained / length_s * share
        sums[1][step] += after.in_flight * share
        sums[2][step] += after.limit * share
