"""Looks at a function before it is called: whether it is async, and whether it takes the texts. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from engine.errors import ConfigError


def check_call(function: Callable[..., Any]) -> None:
    """Checks that a function can be called with one argument, the texts, and returns what it finds.

    Raises:
        ConfigError: it cannot; the message shows its signature.
    """
    inner = called(function)
    if inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner):
        raise ConfigError(f"extractor {name_of(function)} must return its results, and not yield them")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have none
        return
    try:
        given = signature.bind(()).arguments
    except TypeError:
        raise ConfigError(
            f"extractor {name_of(function)}{signature} must take one argument, the list of texts"
        ) from None
    if any(signature.parameters[name].annotation in (str, "str") for name in given):
        raise ConfigError(
            f"extractor {name_of(function)}{signature} must take a list of texts, and not one text; "
            "it returns a list of entities for each"
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Tells whether a function is an `async def`, also in a `partial` or under decorators."""
    return inspect.iscoroutinefunction(called(function))


def called(function: Any) -> Any:
    """Returns the function in a `partial`, under decorators, or in an object that can be called."""
    function = inspect.unwrap(function)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    return function if inspect.isroutine(function) else type(function).__call__


def name_of(function: Any) -> str:
    """Returns the name of a function or class for messages."""
    return str(getattr(function, "__qualname__", None) or repr(function))
