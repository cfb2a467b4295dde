"""Describes what users rely on: the public names, the errors, the settings and the command line.

To see the description as a JSON file, run this in the root of the repository:

    python -c "from tests.support.public_contract import *; print(as_text(describe()), end='')"
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import tomllib
from collections.abc import Callable, Collection, Iterator
from enum import Enum
from typing import Any, get_args, get_type_hints

import typer
from pydantic import BaseModel

import engine
from engine import EngineError, HttpExtractor, Settings, Tuning
from engine.cli.commands import app as COMMAND_LINE  # noqa: N812
from engine.settings import PREFIX
from tests.support.listing import as_text
from tests.support.places import ROOT

__all__ = ["as_text", "describe"]

PYPROJECT = ROOT / "pyproject.toml"

WORDS = {"description", "title"}
"""The parts of a setting's schema that are words for people."""


def describe() -> dict[str, Any]:
    """All of it, as values that JSON can hold. Words for people (help, descriptions) are left out."""
    return {
        "public names": {name: _public(getattr(engine, name)) for name in engine.__all__},
        "errors": {error.__name__: _bases(error) for error in _family(EngineError)},
        "settings": _settings(),
        "command line": _command_line(),
    }


# --- public names ---


def _public(thing: Any) -> dict[str, Any]:
    """The kind of a public name, its parameters and its members."""
    if not inspect.isclass(thing):
        return {"kind": _kind_of_function(thing), "parameters": _parameters(thing)}
    described = {"kind": _kind_of_class(thing), "bases": _bases(thing), "members": _members(thing)}
    if issubclass(thing, Enum):
        return {**described, "values": {member.name: member.value for member in thing}}
    if thing is Settings or _is_protocol(thing):
        return described
    if dataclasses.is_dataclass(thing) or issubclass(thing, tuple):
        return {**described, "fields": _parameters(thing)}
    return {**described, "parameters": _parameters(thing), "attributes": _attributes(thing)}


def _kind_of_function(thing: Any) -> str:
    return "async function" if inspect.iscoroutinefunction(thing) else "function"


def _kind_of_class(thing: type) -> str:
    if dataclasses.is_dataclass(thing):
        return "frozen dataclass" if thing.__dataclass_params__.frozen else "dataclass"
    if issubclass(thing, tuple):
        return "named tuple"
    kinds = {BaseException: "exception", Enum: "enum"}
    named = next((name for base, name in kinds.items() if issubclass(thing, base)), "class")
    return "protocol" if _is_protocol(thing) else named


def _is_protocol(thing: type) -> bool:
    return getattr(thing, "_is_protocol", False)


def _bases(thing: type) -> list[str]:
    return [base.__name__ for base in thing.__bases__]


def _attributes(thing: type) -> list[str]:
    """The public attributes that the constructor of an error or of the HTTP extractor sets."""
    made = {HttpExtractor: "http://127.0.0.1"}
    if thing in made or issubclass(thing, BaseException):
        return sorted(name for name in vars(thing(made.get(thing, "x"))) if not name.startswith("_"))
    return []


def _members(thing: type) -> dict[str, Any]:
    """The public methods and properties that the class, or a base class of the engine, defines."""
    ours = [base for base in reversed(thing.__mro__) if base.__module__.partition(".")[0] == "engine"]
    defined = {name: value for base in ours for name, value in vars(base).items()}
    return {name: shown for name, value in defined.items() if (shown := _member(name, value))}


def _member(name: str, value: Any) -> Any:
    """A method or a property; None for anything else."""
    if name.startswith("_"):
        return None
    if isinstance(value, property):
        return "property"
    if isinstance(value, classmethod):
        return {"kind": "class method", "parameters": _parameters(value.__func__)}
    if inspect.isfunction(value):
        return {"kind": _kind_of_function(value), "parameters": _parameters(value)}
    return None


def _parameters(called: Callable[..., Any]) -> list[str]:
    """The parameters in order, each with its default and, if it is not an ordinary one, its kind."""
    return [_parameter(parameter) for parameter in inspect.signature(called).parameters.values()]


def _parameter(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f" = {_shown(parameter.default)}"
    ordinary = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    return f"{parameter.name}{default}" + ("" if ordinary else f" ({parameter.kind.description})")


def _shown(value: Any) -> str:
    """A default as code. A function or a factory has no name that users rely on."""
    if inspect.isroutine(value):
        return "<function>"
    return f"{type(value).__name__}.{value.name}" if isinstance(value, Enum) else repr(value)


# --- errors ---


def _family(error: type[Exception]) -> Iterator[type[Exception]]:
    """The error and those derived from it in the same module."""
    yield error
    for derived in error.__subclasses__():
        if derived.__module__ == EngineError.__module__:
            yield from _family(derived)


# --- settings ---


def _settings() -> dict[str, Any]:
    """The prefix of their environment variables; type, limits and default of each setting."""
    return {"prefix": PREFIX, "fields": _fields(Settings, but={"tuning"}), "tuning": _fields(Tuning)}


def _fields(model: type[BaseModel], but: Collection[str] = ()) -> dict[str, Any]:
    schemas = model.model_json_schema()["properties"]
    return {
        name: {
            **{key: value for key, value in schemas[name].items() if key not in WORDS},
            "default": field.get_default(call_default_factory=True),
        }
        for name, field in model.model_fields.items()
        if name not in but
    }


# --- command line ---


def _command_line() -> dict[str, Any]:
    """The installed programs, and the parameters of each command."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    commands = typer.main.get_command(COMMAND_LINE).commands
    return {
        "programs": sorted(project["scripts"]),
        "commands": {name: _command(command) for name, command in commands.items()},
    }


def _command(command: Any) -> dict[str, Any]:
    hints = get_type_hints(command.callback, include_extras=True)
    return {parameter.opts[0]: _option(parameter, hints[parameter.name]) for parameter in command.params}


def _option(parameter: Any, hint: Any) -> dict[str, Any]:
    """An option or an argument: how it is written, what it takes, and what it is if it is left out."""
    taken, info = get_args(hint)
    described = {
        "kind": parameter.param_type_name,
        "flags": [*parameter.opts, *parameter.secondary_opts],
        "type": re.sub(r"\b(\w+\.)+", "", inspect.formatannotation(taken)),
        "min": info.min,
        "max": info.max,
        "default": parameter.default,
        "required": parameter.required,
        "environment": parameter.envvar,
    }
    return {name: value for name, value in described.items() if value is not None}
