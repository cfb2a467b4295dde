"""Addresses of HTTP services: where requests go, and what of an address may be shown. Pure.

An address may hold secrets in its login and in its query (`?code=...`). Messages are stored, printed and sent
to logs, so they show scheme, host and path at most (trap 57, docs/traps.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_letters, digits
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode

from yarl import URL

from engine.errors import ConfigError

HIDDEN = "***"
"""What stands in a message in place of a secret."""

UNREADABLE = "an address that cannot be read"
"""What is shown of an address whose host cannot be told from its secrets."""

_PARTS = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
"""Scheme, login with host, path and query, as RFC 3986 divides an address."""

_HOST = re.compile(r"(?:[^\s/?#@:\[\]\"'<>]+|\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\])(?::(\d{1,5}))?")
_MOST_PORT = 65_535

_ADDRESS = re.compile(r"\b(?!mongodb)[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]*")
"""An address in a message. Of MongoDB's, `engine.mongo.addresses` has left the hosts only."""

_ENDS = ".,;:)"
"""Signs at the end of an address in a message that belong to the sentence."""

_PATH_AND_QUERY = re.compile(r"(?<![\w/.])(/[^\s?\"'<>]{0,500})\?[^\s\"'<>]+")
"""An address without its host, as urllib3 shows it."""

_UNQUOTED = ascii_letters + digits + "%:/?#[]@!$&'()*+,;=-._~|"
"""Characters of an address that are sent as they are."""

_SHORT, _BOUNDED = 3, 6
"""Values of fewer than 3 characters stand in every text, so they are not taken out. Values of fewer than 6
are taken out where they are a word of their own, unless they look like a word or a number (`json`, `10`)."""

_PLAIN = re.compile(r"[a-z]+|\d+")

_NOT_SECRET = re.compile(r"accept.*|content-.*|user-agent|host|connection|x-amz-target", re.IGNORECASE)
"""Names of headers whose values are no secrets."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where the requests to a service go.

    Attributes:
        url: as it was given, with what its format adds; nothing in it is quoted again, because the query may
            be signed.
        shown: scheme, host and path, for messages.
        secrets: what messages must not show: login and password, and the values of the given query.
    """

    url: URL
    shown: str
    secrets: tuple[str, ...]


def service_address(given: str, path: str, query: Mapping[str, str]) -> ServiceAddress:
    """Reads the address of a service.

    Args:
        path: where requests go if the address has no path of its own.
        query: added to the query, except for parameters that the address has.

    Raises:
        ConfigError: it is not an http(s) address.
    """
    given = given.strip()
    scheme, authority, own_path, own_query = _PARTS.fullmatch(given).groups(default="")  # type: ignore[union-attr]
    try:
        parsed = URL(f"{scheme}://{authority}")
    except ValueError:
        parsed = URL()
    if (
        scheme.lower() not in ("http", "https")
        or not _HOST.fullmatch(authority.rpartition("@")[2])
        or not parsed.host
    ):
        raise ConfigError(
            f"service url {shown(given)!r} is not an http(s) address; give one such as http://host:8080"
        )
    if "@" in authority and "@" in own_path + own_query:
        raise ConfigError(
            "service url: its login ends at the first @, and there is another one; write %40 for each @ that "
            "belongs to the login, to the path or to the query"
        )
    if own_path in ("", "/"):
        own_path = path
    known = dict(parse_qsl(own_query, keep_blank_values=True))
    added = urlencode({n: value for n, value in query.items() if n not in known}, quote_via=quote)
    whole = "&".join(part for part in (_quoted(own_query), added) if part)
    url = URL(
        f"{scheme.lower()}://{parsed.raw_authority}{_quoted(own_path)}{'?' if whole else ''}{whole}",
        encoded=True,
    )
    login = authority.rpartition("@")[0]
    values = (option.partition("=")[2] or option for option in re.split("[&;]", own_query))
    return ServiceAddress(url, shown(given), (login, *login.split(":", 1), own_query, *values))


def joined(base: str, port: int | None, path: str) -> str:
    """Returns an address with a port and a further path; the query of both is kept.

    >>> joined("https://ner.example/v2?code=1", 8443, "extract?lang=de")
    'https://ner.example:8443/v2/extract?code=1&lang=de'
    """
    scheme, authority, own, query = _PARTS.fullmatch(base).groups(default="")  # type: ignore[union-attr]
    path, _, further = path.partition("?")
    if path or not own:
        own = f"{own.rstrip('/')}/{path.lstrip('/')}"
    whole = "&".join(part for part in (query, further) if part)
    return f"{scheme}://{authority}{f':{port}' if port else ''}{own}{'?' if whole else ''}{whole}"


def shown(address: str) -> str:
    """Returns what of an address may be shown: scheme, host, port and path.

    >>> shown("https://me:pw@ner.example:8443/extract;id=7?code=secret#top")
    'https://ner.example:8443/extract'
    """
    scheme, authority, path, query = _PARTS.fullmatch(address.strip()).groups(default="")  # type: ignore[union-attr]
    login, _, host = authority.rpartition("@")
    found = _HOST.fullmatch(host)
    # An `@` further on may end a login whose password has a delimiter that nobody has escaped.
    in_doubt = "@" in path or "@" in query
    port = int(found[1] or 0) if found else 0
    if found is None or port > _MOST_PORT or (in_doubt and login) or not (scheme or port):
        return UNREADABLE
    path = "" if in_doubt else _quoted(path.partition(";")[0])
    return f"{scheme}://{host}{path}" if scheme else f"{host}{path}"


def without_addresses(message: str) -> str:
    """Returns a message with each address in it as `shown` gives it, whatever the message is about.

    >>> without_addresses("404 for url: https://ner.example/x?code=secret")
    '404 for url: https://ner.example/x'
    """
    if "://" in message:
        message = _ADDRESS.sub(_shown_in_message, message)
    return _PATH_AND_QUERY.sub(r"\1", message) if "?" in message else message


def without_secrets(message: str, secrets: Iterable[str]) -> str:
    """Returns a message without these secrets, plain or escaped, and without those of other addresses."""
    forms = {form for secret in secrets for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        bounded = rf"(?<!\w){re.escape(form)}(?!\w)" if len(form) < _BOUNDED else re.escape(form)
        message = re.sub(bounded, HIDDEN, message)
    return without_addresses(message)


def header_secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """The values of headers that may be secrets; of `Bearer abc` also `abc`."""
    for name, value in headers.items():
        if not _NOT_SECRET.fullmatch(name):
            yield value
            yield value.partition(" ")[2]


def _shown_in_message(found: re.Match[str]) -> str:
    address = found[0].rstrip(_ENDS)
    end = found[0][len(address) :]
    return f"{shown(address) if re.search('[@?#;]', address) else address}{end}"


def _quoted(part: str) -> str:
    """Quotes only what no request may contain, such as blanks; what is quoted already stays as it is."""
    return quote(part, safe=_UNQUOTED)


def _forms(secret: str) -> Iterator[str]:
    for form in {secret, unquote(secret), unquote_plus(secret)}:
        if len(form) >= _SHORT and not (len(form) < _BOUNDED and _PLAIN.fullmatch(form)):
            yield from {form, quote(form, safe=""), repr(form)[1:-1]}
