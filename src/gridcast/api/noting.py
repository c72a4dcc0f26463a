"""The forecast log of one worker: entries of requests that wait at once are written in one transaction."""

from __future__ import annotations

import asyncio

from anyio import to_thread

from gridcast.errors import GridcastError, StoreError
from gridcast.store.journal import Entry, Journal, Receipt

MOST_AT_ONCE = 200


class Notes:
    """Writes down entries for any number of requests of one event loop, without holding the loop up.

    Args:
        journal: where to.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[Entry, asyncio.Future[Receipt]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def append(self, entry: Entry) -> Receipt:
        """Add an entry, which is durable when this returns.

        Raises:
            StoreError: the database failed, or the journal has no head; it was not added.
        """
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, receipt))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await receipt

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._write_down(batch)
        finally:
            self._writer = None

    async def _write_down(self, batch: list[tuple[Entry, asyncio.Future[Receipt]]]) -> None:
        receipts: list[Receipt] = []
        what, remedy = "an entry of the journal was interrupted on its way", "ask again"
        try:
            receipts = await to_thread.run_sync(self._journal.append_all, [entry for entry, _ in batch])
        except GridcastError as refusal:
            what, remedy = refusal.what, refusal.remedy
        finally:
            for number, (_, waiting) in enumerate(batch):
                if waiting.done():  # whoever asked is gone
                    continue
                if receipts:
                    waiting.set_result(receipts[number])
                else:
                    waiting.set_exception(StoreError(what, remedy=remedy))
