"""Writes many documents by one command. Documents that are refused for a time are sent again, alone.

A server that sheds load, or an election, may refuse some documents of an unordered bulk and write the others.
Only the refused ones are repeated, with the pauses and bounds of every command (`calls.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from engine.errors import WriteError
from engine.mongo import calls, driver
from engine.mongo.calls import DUPLICATE_KEY
from engine.mongo.error_classes import Answer, PassingRefusal, reason_of

Document = dict[str, Any]
Send = Callable[[driver.Collection, list[Document]], Awaitable[Mapping[str, Any]]]

MOST_NAMED = 5
"""How many refusals a message quotes."""


async def insert(collection: driver.Collection, documents: list[Document]) -> list[Document]:
    """Inserts the documents in any order; returns those whose `_id` the collection had already.

    Raises:
        WriteError: documents were refused, or the write was not confirmed; names each `_id`, without the
            contents of documents (trap 30, docs/traps.md).
    """
    bulk = _Bulk(collection, driver.insert, documents, keeps_stored=True)
    await calls.write_target(collection, bulk.send_rest)
    return bulk.there


async def replace(collection: driver.Collection, documents: list[Document]) -> None:
    """Replaces the documents of the same `_id`s, in any order, and inserts those that are not there.

    Raises:
        WriteError: as `insert` does.
    """
    bulk = _Bulk(collection, driver.replace, documents, keeps_stored=False)
    await calls.write_target(collection, bulk.send_rest)


class _Bulk:
    """The documents of one bulk write that remain to be sent.

    Attributes:
        there: the documents that the server refused because it had their `_id` before this bulk.

    Args:
        keeps_stored: whether a duplicate key is no failure, because a stored document is kept.
    """

    def __init__(
        self, collection: driver.Collection, send: Send, documents: list[Document], *, keeps_stored: bool
    ) -> None:
        self._collection, self._send, self._rest = collection, send, documents
        self._keeps_stored = keeps_stored
        self._written: set[int] = set()  # those that are sent again only to be confirmed
        self.there: list[Document] = []

    async def send_rest(self) -> None:
        """Sends what remains.

        Raises:
            PassingRefusal: some documents, or the confirmation, were refused for a reason that passes.
            WriteError: they were refused for good.
        """
        said = await self._send(self._collection, self._rest)
        errors, concerns = said.get("writeErrors") or (), said.get("writeConcernErrors") or ()
        if not errors and not concerns:
            return
        stored = [e for e in errors if self._keeps_stored and e.get("code") == DUPLICATE_KEY]
        refused = [e for e in errors if not self._keeps_stored or e.get("code") != DUPLICATE_KEY]
        fatal = [error for error in refused if reason_of(error) is None]
        if fatal or any(reason_of(concern) is None for concern in concerns):
            what = f"{driver.namespace(self._collection)}: {self._message(fatal, concerns)}"
            raise WriteError(what, document_id=self._first_id(fatal))
        failed = PassingRefusal(
            self._message(refused, concerns), [*refused, *concerns], self._first_id(refused)
        )
        self._keep_rest(stored, refused, unconfirmed=bool(concerns))
        if refused or concerns:
            raise failed

    def _keep_rest(self, stored: Sequence[Answer], refused: Sequence[Answer], *, unconfirmed: bool) -> None:
        """Keeps what must be sent again: the refused documents, or all of them to have them confirmed."""
        sent = self._rest
        if unconfirmed:
            not_written = {error["index"] for error in (*stored, *refused)}
            self._written |= {id(document) for at, document in enumerate(sent) if at not in not_written}
            return
        found = [sent[error["index"]] for error in stored]
        self.there += [document for document in found if id(document) not in self._written]
        self._rest = [sent[error["index"]] for error in refused]

    def _first_id(self, refused: Sequence[Answer]) -> Any:
        return self._rest[refused[0]["index"]]["_id"] if refused else None

    def _message(self, refused: Sequence[Answer], concerns: Sequence[Answer]) -> str:
        each = [f"_id {self._rest[e['index']]['_id']!r}: {_said(e)}" for e in refused]
        what = (
            f"{len(each)} documents refused by the target" if each else "the target did not confirm a write"
        )
        return f"{what}: {'; '.join([*each, *map(_said, concerns)][:MOST_NAMED])}"


def _said(answer: Answer) -> str:
    code = answer.get("code")
    return "; ".join(filter(None, [str(answer.get("errmsg") or f"code {code}"), calls.ADVICE.get(code or 0)]))
