"""The course of a range or of a run over time, in a bounded number of samples. Pure.

A sample describes the time since the sample before it: the mean number of requests in flight, and how many
documents were finished at its end. So the samples of different ranges need not have the same times to be
added up, and no requests are counted for the time between two attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, Self

MOST_SAMPLES = 60
"""The most samples of a range, about 3 kB of its checkpoint. If there are more, every two are merged."""

EVERY_S = 1.0
"""The least distance of samples at first: that of checkpoints by default."""


class Sample(NamedTuple):
    """The documents finished at a moment, and the requests in flight since the sample before it.

    Attributes:
        documents: the documents finished so far, in all attempts.
        in_flight: the mean number of requests in flight; if ranges share a limit, this range's share.
        limit: the mean limit of requests in flight, or this range's share of it.
    """

    at: datetime
    documents: int
    in_flight: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """At most `MOST_SAMPLES` samples, in the order of time; the last one is always the newest.

    Attributes:
        every_s: about the seconds between two samples; doubled whenever there are too many samples.
    """

    samples: tuple[Sample, ...] = ()
    every_s: float = EVERY_S

    def with_start(self, at: datetime, documents: int) -> Timeline:
        """Returns the timeline with the start of an attempt; no request was in flight before it."""
        return self._with((*self.samples, Sample(at, documents)))

    def with_sample(self, sample: Sample) -> Timeline:
        """Returns the timeline with one more sample.

        If the last sample is too close to the one before it, the new sample is merged with it.
        """
        samples = self.samples
        if len(samples) > 1 and _seconds(samples[-2], samples[-1]) < self.every_s:
            return self._with((*samples[:-1], _merged(samples[-2], samples[-1], sample)))
        return self._with((*samples, sample))

    def _with(self, samples: tuple[Sample, ...]) -> Timeline:
        if len(samples) <= MOST_SAMPLES:
            return replace(self, samples=samples)
        return Timeline(tuple(_halved(samples)), self.every_s * 2)

    def to_document(self) -> dict[str, Any]:
        """Returns the columns for the checkpoint, which take half the bytes of rows."""
        columns = dict(zip(Sample._fields, map(list, zip(*self.samples, strict=True)), strict=False))
        return {"every_s": self.every_s, **columns}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any] | None) -> Self:
        """Returns the Timeline that `to_document` was called on; an empty one if the checkpoint has none."""
        columns = [(stored or {}).get(name, []) for name in Sample._fields]
        samples = tuple(Sample(*row) for row in zip(*columns, strict=True))
        return cls(samples, (stored or {}).get("every_s", EVERY_S))


def _halved(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Yields the first sample, then one for every two; the last sample stays the last."""
    yield samples[0]
    for at in range(2, len(samples), 2):
        yield _merged(samples[at - 2], samples[at - 1], samples[at])
    if len(samples) % 2 == 0:
        yield samples[-1]


def _merged(before: Sample, first: Sample, second: Sample) -> Sample:
    """Merges two consecutive samples into one; the means are weighted by time."""
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
    """The course of a run in equal steps of time from `start`, with one value for each step.

    Attributes:
        documents_per_s: the rate at which documents were finished.
        in_flight: the mean number of requests in flight of all ranges together.
        limit: the mean limit of requests in flight, for all ranges together.
    """

    start: datetime
    step_s: float
    documents_per_s: tuple[float, ...]
    in_flight: tuple[float, ...]
    limit: tuple[float, ...]

    @property
    def end(self) -> datetime:
        """The end of the last step."""
        return self.start + timedelta(seconds=self.step_s * len(self.limit))


def course_of(timelines: Iterable[Timeline], most_steps: int = 120) -> Course | None:
    """Sums the timelines of ranges; None if no range has two samples.

    The steps are no finer than the finest samples.
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
    """Adds the values of one sample to the steps that it overlaps, in proportion to the time in each."""
    began_s, ended_s = ((sample.at - start).total_seconds() for sample in (before, after))
    last = len(sums[0]) - 1
    length_s = max(ended_s - began_s, 1e-6)
    gained = max(0, after.documents - before.documents)  # an attempt may begin before the end of the last one
    for step in range(min(last, int(began_s / step_s)), min(last, int(ended_s / step_s)) + 1):
        inside_s = min(ended_s, (step + 1) * step_s) - max(began_s, step * step_s)
        share = max(0.0, inside_s) / step_s
        sums[0][step] += gained / length_s * share
        sums[1][step] += after.in_flight * share
        sums[2][step] += after.limit * share
