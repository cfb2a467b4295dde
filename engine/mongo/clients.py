"""Makes clients of MongoDB from addresses, so that no message shows more of one than its hosts."""

from __future__ import annotations

import threading
import time
import warnings
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError

from engine.errors import ConfigError, SourceError
from engine.mongo import calls
from engine.mongo.addresses import hosts_of, without_secrets

READ_CONCERNS = frozenset({None, "local", "available", "majority", "linearizable", "snapshot"})
"""The levels of reading that servers know. The driver takes any text."""

CLOSE_S = 0.2
"""The longest time for closing clients. All that it does for a server is to end their sessions early."""


def client_of(uri: str, **options: Any) -> Any:
    """Returns a Motor client, which connects when it is first used.

    Args:
        options: of the driver, as they could stand in the address.

    Raises:
        ConfigError: the driver refuses the address or an option.
    """
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            client = AsyncIOMotorClient(uri, **options)
    except (PyMongoError, TypeError, ValueError, OSError) as error:
        # Without a cause: the driver's own message, which a traceback shows, may hold a password.
        refusal = ConfigError(f"MongoDB at {hosts_of(uri)}: {without_secrets(str(error), uri, options)}")
        raise refusal from None
    if client.read_concern.level not in READ_CONCERNS:
        levels = ", ".join(sorted(filter(None, READ_CONCERNS)))
        raise ConfigError(f"MongoDB at {hosts_of(uri)}: readConcernLevel must be one of {levels}")
    for warning in warned:
        warnings.warn(without_secrets(str(warning.message), uri, options), warning.category, stacklevel=2)
    return client


async def connected(uri: str, **options: Any) -> Any:
    """Returns a new client after its server has answered. Nothing is repeated: a person waits for it.

    Raises:
        ConfigError: the driver refuses the address or an option, or the server refuses the login.
        SourceError: the server does not answer.
    """
    client = client_of(uri, **options)
    try:
        await client.admin.command("ping")
    except PyMongoError as error:
        close(client)
        where = f"MongoDB at {hosts_of(uri)}"
        refusal = calls.translated(error, SourceError, f"{where} does not answer")
        if refusal.code == calls.AUTHENTICATION_FAILED:
            advice = calls.ADVICE[calls.AUTHENTICATION_FAILED]
            raise ConfigError(f"{where} refuses the login: {advice}") from None
        refusal.args = (without_secrets(str(refusal), uri, options),)
        raise refusal from None
    return client


def close(*clients: Any) -> None:
    """Closes clients. A server that does not answer is not waited for longer than `CLOSE_S`."""
    # The driver ends its sessions by a command that has no time limit, so it cannot be sent from this thread.
    closing = [threading.Thread(target=client.close, daemon=True) for client in clients]
    for thread in closing:
        thread.start()
    until = time.monotonic() + CLOSE_S
    for thread in closing:
        thread.join(max(0.0, until - time.monotonic()))
