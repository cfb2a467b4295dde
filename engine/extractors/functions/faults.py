"""Calls an extractor once, and tells an error of programming in it from a failure of the service.

An error of programming, such as a TypeError in one's own function, is no outage and no fault of a text: it
ends the run at once, with the file and the line in which it arose.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp

from engine.errors import ImpossibleAnswer, ServiceUnusable, leaves
from engine.extractors.answer_check import check_answer
from engine.extractors.extractor import Extractor, FunctionExtractor
from engine.extractors.functions.signatures import called
from engine.extractors.http.addresses import without_addresses
from engine.extractors.http.answers import cause_of, translated
from engine.extractors.http_extractor import HttpExtractor
from engine.extractors.redaction import redact
from engine.model import Entity

FAULTS = (
    TypeError,
    LookupError,
    AttributeError,
    NameError,
    ImportError,
    SyntaxError,
    NotImplementedError,
    AssertionError,
    ZeroDivisionError,
)
"""Errors of programming. A ValueError or a RuntimeError may be about one text, so it is none."""

_ENGINE = str(Path(__file__).parents[2])
_LIBRARY = sysconfig.get_path("stdlib")
_PACKAGES = ("site-packages", "dist-packages")


Ask: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[list[Entity]]]]
"""A method of an extractor that makes one attempt."""


async def answer_of(extractor: Extractor, texts: Sequence[str], ask: Ask) -> list[tuple[Entity, ...]]:
    """Makes one attempt by `ask`, and returns its answer once that is checked (`check_answer`).

    Raises:
        ServiceUnusable: an error of programming; the message names it and its place.
        Exception: what the extractor raised. Of an exception group, the first error.
    """
    try:
        return check_answer(texts, await ask(texts))
    except Exception as raised:
        if isinstance(extractor, HttpExtractor):  # what a service says must not end a run
            raise
        error = _explained(raised, extractor, texts)
        if error is raised:
            raise
        raise error from cause_of(raised)


def _explained(raised: Exception, extractor: Extractor, texts: Sequence[str]) -> BaseException:
    """The error to raise in place of one that one's own code has raised; itself if nothing is to be added."""
    errors = list(leaves(raised))
    error = next((error for error in errors if isinstance(error, FAULTS)), errors[0])
    if isinstance(error, ImpossibleAnswer):
        return _fault(str(error), _definition(extractor))
    if isinstance(error, FAULTS):
        return _fault(redact(without_addresses(f"{type(error).__name__}: {error}"), texts), place_of(error))
    return translated(error) if isinstance(error, aiohttp.ClientError) else error


def place_of(error: BaseException) -> str:
    """Returns file and line of the last frame of one's own code that an error came through.

    That is neither the engine nor a library; without such a frame it is the last one of a package, or of all.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    files = [frame.f_code.co_filename for frame, _ in frames]
    order = sorted(range(len(frames)), key=lambda at: (_nearness(files[at]), at))
    if not order:
        return "an unknown place"
    frame, line = frames[order[-1]]
    return f"{frame.f_code.co_filename}:{line}, in {frame.f_code.co_name}"


def _nearness(file: str) -> int:
    """How near a file is to one's own code: 0 for the engine and Python, 1 for a package, 2 for one's own."""
    if file.startswith((_ENGINE, "<frozen")):
        return 0
    if any(packages in file for packages in _PACKAGES):
        return 1
    return 0 if file.startswith(_LIBRARY) else 2


def _fault(problem: str, place: str) -> ServiceUnusable:
    return ServiceUnusable(
        f"the extractor is at fault ({problem}, at {place}); no document is blamed, mend it and run again"
    )


def _definition(extractor: Extractor) -> str:
    """Returns file and line where the extractor's function is defined."""
    function: Any = extractor.function if isinstance(extractor, FunctionExtractor) else extractor.extract
    code = getattr(called(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}, in {code.co_name}" if code else repr(function)
