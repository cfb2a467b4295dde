"""Sends known texts before the first document, and looks at the answer: the canary.

due --answered rightly, or refused for good--> ready
    --an answer that cannot be right---------> a ConfigError, for every call
    --a failure that may pass----------------> due: it is sent again at the next call
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from engine.errors import ConfigError, ExtractionError, Failure, WrongAnswer
from engine.extractors.answer_check import as_entities, check_answer
from engine.extractors.formats import Format, entities_of, found_in, read_as
from engine.extractors.offsets import CANARY_TEXTS, PROBE_TEXT, OffsetUnit, canary_problem, detect_unit
from engine.observing.events import Events

CANARY_TRIES = 3
"""How often a canary with a wrong answer is sent, before that is taken for the service's way to answer."""

CANARY_REFUSALS = 6
"""How often a canary fails while a plain text passes, before it is taken for refused for good."""


class Shown(NamedTuple):
    """What an answer to the canary shows: the unit of offsets if any, and what is wrong if anything."""

    unit: OffsetUnit | None
    problem: str | None


class Canary:
    """The canary of one service.

    Attributes:
        ready: whether it was answered rightly, or refused for good.

    Args:
        unit: the declared unit of offsets.
        ask: sends texts to the service; returns the JSON of its answer.
        hide: takes secrets out of an error that quotes the answer.
    """

    def __init__(
        self,
        shape: Format,
        unit: OffsetUnit,
        ask: Callable[[Sequence[str]], Awaitable[Any]],
        hide: Callable[[ExtractionError], None],
    ) -> None:
        self.ready = False
        self._shape, self._unit, self._ask, self._hide = shape, unit, ask, hide
        self._events = Events(format=shape.name, offsets=unit)
        self._problem: str | None = None
        self._refusals = 0
        self._alone = asyncio.Lock()

    async def send(self) -> None:
        """Sends the canary if it is due, while all other calls wait for the result.

        Raises:
            ConfigError: the answer shows that the service cannot be used so.
            ExtractionError: it was not answered, which may pass.
        """
        async with self._alone:
            if not (self.ready or self._problem):
                await self._send()
        if self._problem:
            raise ConfigError(self._problem)

    async def _send(self) -> None:
        try:
            shown = await self._shown()
        except WrongAnswer as error:
            self._hide(error)
            self._problem = (
                f"the service's answer to a known text is wrong ({error}): check its address and the format, "
                f"which is {self._shape.name!r}; no document was sent"
            )
        except ExtractionError as error:
            self._hide(error)
            if not await self._is_refusal(error):
                raise
            self._events.warning("canary_failed", problem=error)
            self.ready = True
        else:
            self._events.info("canary_answered", shown=shown.unit)
            self._problem = shown.problem
            self.ready = shown.problem is None

    async def _shown(self) -> Shown:
        """Returns what the canary shows. A wrong answer is asked for again, because it may be chance."""
        for _ in range(CANARY_TRIES - 1):
            try:
                return await self._shown_once()
            except WrongAnswer:
                continue
        return await self._shown_once()

    async def _shown_once(self) -> Shown:
        """Asks for all texts at once; if these are refused, or answered in another shape, for one by one."""
        texts = CANARY_TEXTS[: self._shape.batch_texts]
        try:
            return await self._shown_by(texts)
        except ExtractionError as error:
            if error.failure is not Failure.PERMANENT or len(texts) == 1:
                raise
        alone, refused = list[Shown](), None
        for text in texts:
            try:
                alone.append(await self._shown_by([text]))
            except ExtractionError as error:
                if error.failure is not Failure.PERMANENT or isinstance(error, WrongAnswer):
                    raise
                refused = error
        if refused is not None and not alone:
            raise refused
        return next((shown for shown in alone if shown.problem), alone[0])

    async def _shown_by(self, texts: Sequence[str]) -> Shown:
        answer = await self._ask(texts)
        found = read_as(
            self._shape, texts, lambda: [as_entities(e) for e in found_in(self._shape, texts, answer)]
        )
        answered = list(zip(texts, found, strict=False))
        problem = canary_problem(answered, self._unit) if len(found) == len(texts) else None
        if problem is None:
            check_answer(texts, entities_of(self._shape, self._unit, texts, answer))
        return Shown(detect_unit(answered, self._unit), problem)

    async def _is_refusal(self, error: ExtractionError) -> bool:
        """Whether the canary is refused for good: the service says so, or fails again and again on it alone.

        That it fails on the canary alone is shown by a plain text that passes each time. If this fails too,
        the service is down, or not up yet, and the canary is still due.
        """
        if error.failure is not Failure.TRANSIENT:
            return error.failure is Failure.PERMANENT
        try:
            await self._ask([PROBE_TEXT])
        except ExtractionError:
            self._refusals = 0
        else:
            self._refusals += 1
        return self._refusals >= CANARY_REFUSALS
