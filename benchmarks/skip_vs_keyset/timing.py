"""Times the reading of a collection: the whole of it, or pages at sampled depths."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.common.documents import ReadCounter
from benchmarks.skip_vs_keyset.readers import PageReader, SkipReader


@dataclass(frozen=True, slots=True)
class PageTime:
    """The time of one page: `depth` documents come before it."""

    depth: int
    documents: int
    seconds: float


@dataclass(frozen=True)
class Reading:
    """The times of reading a collection once.

    Attributes:
        pages: the pages that were read.
        planned: the number of all pages, if only some were read.
    """

    pages: Sequence[PageTime]
    planned: int | None = None

    @property
    def seconds(self) -> float:
        """The time of the whole: measured, or estimated as the mean of sampled pages times their number.

        The depths are the middles of equal strata. So for a cost that is linear in the depth, as that of a
        skip, the estimate is exact except for noise.
        """
        if self.planned is None:
            return sum(page.seconds for page in self.pages)
        return fmean(page.seconds for page in self.pages) * self.planned

    @property
    def estimated(self) -> bool:
        """Whether the time of the whole is an estimate."""
        return self.planned is not None

    def estimate_ratio(self, samples: int) -> float:
        """Divides the estimate that sampled pages of this reading would give by the measured time."""
        sampled = [self.pages[at] for at in sampled_pages(len(self.pages), samples)]
        return Reading(sampled, len(self.pages)).seconds / self.seconds


def sampled_pages(pages: int, samples: int) -> list[int]:
    """Returns the indexes of pages at the middles of equal strata; of all pages if `samples` suffices."""
    if pages <= samples:
        return list(range(pages))
    return [int((stratum + 0.5) * pages / samples) for stratum in range(samples)]


def sampled_offsets(size: int, page: int, samples: int) -> list[int]:
    """Returns the offsets of the sampled pages of a collection."""
    return [at * page for at in sampled_pages(-(-size // page), samples)]


def skipped_documents(size: int, page: int) -> int:
    """Counts the documents that a whole read skips over; it grows with the square of the size."""
    pages = -(-size // page)
    return page * pages * (pages - 1) // 2


async def read_whole(reader: PageReader, page: int, seen: ReadCounter | None = None) -> Reading:
    """Reads everything, and times each page.

    Args:
        seen: counts what was read. The counting is not timed, but it disturbs the times a little.
    """
    times: list[PageTime] = []
    depth, began = 0, time.perf_counter()
    async for found in reader.pages(page):
        now = time.perf_counter()
        times.append(PageTime(depth, len(found), now - began))
        depth, began = depth + len(found), now
        if seen is not None:
            seen.add(reader.ids(found))
            began = time.perf_counter()
    return Reading(times)


async def read_sampled(reader: SkipReader, page: int, offsets: Iterable[int]) -> Reading:
    """Reads only the pages at these offsets.

    Raises:
        RuntimeError: a page is not full, so its time is meaningless.
    """
    times: list[PageTime] = []
    for offset in offsets:
        began = time.perf_counter()
        found = await reader.page_at(offset, page)
        times.append(PageTime(offset, len(found), time.perf_counter() - began))
        if len(found) != min(page, reader.size - offset):
            raise RuntimeError(f"page at {offset} holds {len(found)} documents")
    return Reading(times, planned=-(-reader.size // page))


def median_pages(readings: Sequence[Reading], most: int) -> list[PageTime]:
    """Returns the pages of repeated readings, each with its median time; at most `most`, spread evenly.

    If the pages differ between the readings because their size adapts, it returns those of the median
    reading.
    """
    middle = sorted(readings, key=lambda reading: reading.seconds)[len(readings) // 2]
    shapes = [[(page.depth, page.documents) for page in reading.pages] for reading in readings]
    alike = readings if all(shape == shapes[0] for shape in shapes) else [middle]
    same = list(zip(*(reading.pages for reading in alike), strict=True))
    return [
        PageTime(pages[0].depth, pages[0].documents, median(page.seconds for page in pages))
        for pages in (same[at] for at in sampled_pages(len(same), most))
    ]
