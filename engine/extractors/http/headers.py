"""The headers of requests, among them the login to the service. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from multidict import CIMultiDict
from yarl import URL

from engine.errors import ConfigError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, section 5.6.2."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def request_headers(url: URL, defaults: Mapping[str, str], given: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the headers of every request; those that are given win, whatever the case of their names.

    Blanks and line breaks at the ends of a value are left out, such as that of a token read from a file.

    Raises:
        ConfigError: a name or a value cannot be sent, a header is given twice, or both a login in the address
            and an authorization are given. No value is shown, because it may be a secret.
    """
    headers, seen = CIMultiDict(defaults), set[str]()
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise ConfigError("headers: a name has a character that no name of a header may have")
        if name.lower() in seen:
            raise ConfigError(f"headers: {name} is given twice, in different cases")
        seen.add(name.lower())
        headers[name] = clean(value, f"headers: {name}")
    if "Authorization" in headers and (url.user or url.password):
        raise ConfigError(
            "there are both a login in the service's address and an authorization (a token or a header): "
            "only one can be sent, so leave out one of them"
        )
    return headers


def clean(secret: str, what: str) -> str:
    """Returns a token or the value of a header without blanks and line breaks at its ends.

    Raises:
        ConfigError: there is a line break or another control character in the middle; `what` names it.
    """
    stripped = secret.strip(" \t\r\n")
    if _CONTROL.search(stripped):
        raise ConfigError(f"{what} has a line break or a control character in it, which no header may have")
    return stripped
