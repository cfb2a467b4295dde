"""Records how a range progressed over time in a bounded number of samples, and sums ranges to a run. Pure.

A sample describes the time since the sample before it: the requests in flight during it, and the documents
done at its end. Ranges can therefore be summed although their samples were taken at different times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple, Self

MOST_SAMPLES = 60
"""Samples kept for a range, about 3 kB of its checkpoint. When there are more, each two are merged."""

EVERY_S = 1.0
"""Least seconds between two samples at first, which is how often checkpoints are saved by default."""


class Sample(NamedTuple):
    """The state of a range at a time, and the load since the sample before.

    Attributes:
        documents: documents done so far, over all attempts.
        in_flight: mean number of requests in flight; the share of this range where ranges share a limit.
        limit: mean of the limit on them; the share of this range as well.
    """

    at: datetime
    documents: int
    in_flight: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """Samples in the order of time, at most `MOST_SAMPLES`. The last one is always the newest.

    Attributes:
        every_s: about the seconds between two samples; doubles whenever there are too many of them.
    """

    samples: tuple[Sample, ...] = ()
    every_s: float = EVERY_S

    def begun(self, at: datetime, documents: int) -> Timeline:
        """Returns the timeline with a sample for the beginning of an attempt, when nothing is in flight."""
        return self._with((*self.samples, Sample(at, documents)))

    def seen(self, sample: Sample) -> Timeline:
        """Returns the timeline with one more sample, merged into the last one if that is still too young."""
        samples = self.samples
        if len(samples) > 1 and _seconds(samples[-2], samples[-1]) < self.every_s:
            return self._with((*samples[:-1], _merged(samples[-2], samples[-1], sample)))
        return self._with((*samples, sample))

    def _with(self, samples: tuple[Sample, ...]) -> Timeline:
        if len(samples) <= MOST_SAMPLES:
            return replace(self, samples=samples)
        return Timeline(tuple(_halved(samples)), self.every_s * 2)

    def to_document(self) -> dict[str, Any]:
        """Returns the form stored in the checkpoint: columns, which take half the bytes of rows."""
        columns = dict(zip(Sample._fields, map(list, zip(*self.samples, strict=True)), strict=False))
        return {"every_s": self.every_s, **columns}

    @classmethod
    def from_document(cls, stored: Mapping[str, Any] | None) -> Self:
        """Restores a timeline from a checkpoint; an empty one if the checkpoint has none."""
        columns = [(stored or {}).get(name, []) for name in Sample._fields]
        samples = tuple(Sample(*row) for row in zip(*columns, strict=True))
        return cls(samples, (stored or {}).get("every_s", EVERY_S))


def _halved(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Merges each two samples after the first one; a last one without a partner stays."""
    yield samples[0]
    for at in range(2, len(samples), 2):
        yield _merged(samples[at - 2], samples[at - 1], samples[at])
    if len(samples) % 2 == 0:
        yield samples[-1]


def _merged(before: Sample, first: Sample, second: Sample) -> Sample:
    """Merges two consecutive samples into one, with means weighted by time."""
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
    """A run in equal steps of time from `start` on, with one value for each step.

    Attributes:
        documents_per_s: documents done in the step, a second.
        in_flight: mean number of requests in flight, over all ranges.
        limit: mean of the limit on them.
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
    """Adds what happened between two samples to the steps of that time, in proportion."""
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
