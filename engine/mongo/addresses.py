"""What may be shown of a MongoDB address: its hosts, and nothing else. Pure.

An address holds secrets in more places than the password: a session token or a key file's password among its
options, or a password whose `@` or `/` nobody has escaped (trap 57, docs/traps.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any
from urllib.parse import unquote, unquote_plus

from pymongo.common import VALIDATORS

HIDDEN = "***"
"""What stands in a message where the driver has quoted a part of the address that is no host."""

UNREADABLE = "an address that cannot be read"
"""What is shown of an address whose hosts cannot be told from its secrets."""

_SCHEME = re.compile(r"mongodb(\+srv)?://")
_HOST = r"(?:[\w.-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\](?::\d{1,5})?|%2[Ff][\w%.-]*\.sock)"
_HOSTS_AND_DATABASE = re.compile(rf"({_HOST}(?:,{_HOST})*)(?:/([^/]*))?")
_DELIMITER = re.compile(r"[@/?&;=,:]")
_MOST_PORT = 65_535

_SHOWN = frozenset({"authmechanism", "authsource", "replicaset"})
"""Options whose values are no secrets, and are needed to understand what the driver says about them."""

_KNOWN = frozenset(VALIDATORS) | {"proxyhost", "proxyport", "proxyusername", "proxypassword"}
"""The names of options, in lower case. PyMongo knows those of a proxy since a later version than 4.9."""

_PLAIN = re.compile(r"\d+|true|false", re.IGNORECASE)
"""Values of options that are no secrets."""

_SHORT, _BOUNDED = 3, 6
"""What is shorter than 3 characters is not taken out, for it stands in every text. What is shorter than 6 is
taken out only where it is a word of its own."""


@dataclass(frozen=True, slots=True)
class _Address:
    """The parts of an address as they are written. If `hosts` is empty, all is in `others`."""

    hosts: str
    others: tuple[str, ...]
    options: Mapping[str, str]


def hosts_of(uri: str) -> str:
    """Returns the hosts of an address as they are written, for messages; `UNREADABLE` if that is not safe.

    >>> hosts_of("mongodb://me:secret@db1:27017,db2/chat?authMechanismProperties=AWS_SESSION_TOKEN:secret")
    'db1:27017,db2'
    """
    return _parsed(uri).hosts or UNREADABLE


def without_secrets(text: str, uri: str, options: Mapping[str, Any] | None = None) -> str:
    """Returns a message of the driver without the parts of the address that it quotes, except the hosts.

    Args:
        uri: the address that the driver was given.
        options: the driver's options that were given beside the address.
    """
    address = _parsed(uri)
    values = (*_values(address.options), *_values(options or {}))
    secrets = {
        form for part in (*address.others, *values) for piece in _pieces(part) for form in _forms(piece)
    }
    for secret in sorted(secrets, key=len, reverse=True):
        bounded = len(secret) < _BOUNDED
        pattern = rf"(?<!\w){re.escape(secret)}(?!\w)" if bounded else re.escape(secret)
        text = re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)
    return text


def _parsed(uri: str) -> _Address:
    """Splits an address; one whose parts are not clear has neither hosts nor options.

    If an `@` stands among the options, each must be one that drivers know, because what looks like options
    may be the rest of a password with a `?`.
    """
    rest = _SCHEME.sub("", uri, count=1)
    head, _, query = rest.partition("?")
    login, _, after_login = head.rpartition("@")
    found = _HOSTS_AND_DATABASE.fullmatch(after_login)
    options = dict(option.partition("=")[::2] for option in re.split("[&;]", query) if option)
    clear = "@" not in query or all(name.lower() in _KNOWN for name in options)
    if found is None or not clear or any(int(p) > _MOST_PORT for p in re.findall(r":(\d+)(?:,|$)", found[1])):
        return _Address("", (rest,), {})
    unknown = tuple(name for name, value in options.items() if not value)
    return _Address(found[1], (login, found[2] or "", *unknown), options)


def _values(options: Mapping[str, Any]) -> Iterator[str]:
    """The values of options that may be secrets."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _values(value)
        elif isinstance(value, str) and name.lower() not in _SHOWN and not _PLAIN.fullmatch(value):
            yield value


def _pieces(text: str) -> Iterator[str]:
    """Every stretch of the text between two delimiters, which is all that a parser may quote."""
    ends = [-1, *(match.start() for match in _DELIMITER.finditer(text)), len(text)]
    return (text[start + 1 : stop] for start, stop in combinations(ends, 2))


def _forms(piece: str) -> Iterator[str]:
    """A piece as it is written, decoded, and as Python quotes it."""
    for form in {piece, unquote(piece), unquote_plus(piece)}:
        if len(form) >= _SHORT:
            yield from (form, repr(form)[1:-1])
