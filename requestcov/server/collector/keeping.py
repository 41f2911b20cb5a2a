"""From bodies to committed batches: one thread, with a bounded queue in front.

Laws: a batch is acknowledged after the COMMIT that keeps it, and never otherwise; those that
wait together are committed together; one that cannot be kept fails alone. A queue that is full
refuses at once. The store is written by the same sink as an app's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from requestcov.errors import SinkError
from requestcov.record import Batch
from requestcov.server.collector.body import decompress
from requestcov.server.collector.quota import Quota
from requestcov.server.collector.refusals import Refusal, later
from requestcov.sinks.sqlite import SqliteSink
from requestcov.storage.sqlite_writer import Added
from requestcov.wire import decode

_log = logging.getLogger("requestcov.collector")

TOGETHER = 5_000
"""Records from which on a transaction takes no further batch: an app that writes to the same
store, or another process of the collector, waits for no longer."""

RETRY_SECONDS = 5
"""What a sender is told to wait while the store cannot be written."""

_MISFITS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError)
"""What SQLite raises because of a value, not of its own state."""


@dataclass(frozen=True)
class Kept:
    """What became of a batch.

    Attributes:
        id: of the batch.
        added: its records.
        size: bytes of its document.
    """

    id: str
    added: Added
    size: int


@dataclass(frozen=True)
class Limits:
    """What one batch may hold.

    Attributes:
        document: bytes, decompressed.
        records: how many.
    """

    document: int
    records: int


@dataclass(eq=False)
class _Waiting:
    """A body, or a question whether the store can be written (None), and who waits for the answer."""

    body: bytes | None
    headers: Mapping[str, str]
    token: str
    answer: Callable[[Kept | Refusal | None], None]
    batch: Batch | None = field(default=None, repr=False)
    size: int = 0


class Keeper:
    """Decodes and commits bodies, in a thread of its own.

    Args:
        sink: the store.
        limits: of a batch.
        room: bodies that wait, at most.
        quota: of each token; None: without.
        committed: told how many seconds a commit took, and how many batches it kept; 0: it failed.
    """

    def __init__(
        self,
        sink: SqliteSink,
        limits: Limits,
        room: int,
        quota: Quota | None = None,
        committed: Callable[[float, int], None] = lambda seconds, batches: None,
    ) -> None:
        self._sink = sink
        self._limits = limits
        self._quota = quota
        self._committed = committed
        self._queue: queue.Queue[_Waiting | None] = queue.Queue(room)
        self._room = room
        self._closing = False
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="requestcov-keeper", daemon=True)

    def start(self) -> None:
        """Begin to take bodies."""
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Bodies that wait."""
        return self._queue.qsize()

    async def keep(self, body: bytes, headers: Mapping[str, str], token: str) -> Kept:
        """Keep the batch that a body is; returning means that it is committed.

        Args:
            headers: of the request, by lower-case name.
            token: its name.

        Raises:
            Refusal: it is not kept.
        """
        kept = await self._ask(body, headers, token)
        assert kept is not None
        return kept

    async def check(self, seconds: float) -> None:
        """Whether a batch could be kept now.

        Args:
            seconds: to wait for those before.

        Raises:
            Refusal: it could not.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._ask(None, {}, "")
        except TimeoutError:
            raise later(503, "The store is behind.", 1) from None

    def refuse_new(self) -> None:
        """Take no further body; those that wait are kept."""
        self._closing = True

    def close(self) -> None:
        """Keep the bodies that wait, and end the thread."""
        self._closing = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._sink.close()
        if self._quota is not None:
            self._quota.close()

    async def _ask(self, body: bytes | None, headers: Mapping[str, str], token: str) -> Kept | None:
        if self._closing:
            raise later(503, "The collector is shutting down; send this batch again.", 1)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Kept | Refusal | None] = loop.create_future()

        def answer(result: Kept | Refusal | None) -> None:
            with contextlib.suppress(RuntimeError):  # The loop has ended, and nobody waits any more.
                loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(result))

        try:
            self._queue.put_nowait(_Waiting(body, headers, token, answer))
        except queue.Full:
            raise later(503, f"{self._room} batches wait already; send this one again.", 1) from None
        result = await future
        if isinstance(result, Refusal):
            raise result
        return result

    def _run(self) -> None:
        ended = False
        while not ended:
            together: list[_Waiting] = []
            records = 0
            waiting = self._queue.get()
            while True:
                if waiting is None:
                    ended = True
                    break
                if waiting.body is None:
                    self._touch(waiting)
                elif self._read(waiting):
                    together.append(waiting)
                    records += len(waiting.batch.records) if waiting.batch else 0
                if records >= TOGETHER:
                    break
                try:
                    waiting = self._queue.get_nowait()
                except queue.Empty:
                    break
            if together:
                self._commit(together)

    def _read(self, waiting: _Waiting) -> bool:
        """Whether a body is a batch; if not, that is answered."""
        assert waiting.body is not None
        try:
            document = decompress(waiting.body, waiting.headers, self._limits.document)
            waiting.body, waiting.size = b"", len(document)
            if self._quota is not None:
                self._quota.charge(waiting.token, len(document))
            waiting.batch = decode(document)
            if len(waiting.batch.records) > self._limits.records:
                raise Refusal(413, f"The batch has more than {self._limits.records:,} records.")
        except Refusal as refusal:
            waiting.answer(refusal)
        except ValueError as wrong:
            waiting.answer(Refusal(400, f"The body is no batch: {wrong}."))
        except (sqlite3.Error, OSError, SinkError) as error:
            waiting.answer(self._unkept(error))
        except BaseException as error:  # MemoryError: the thread goes on, and so does the sender.
            waiting.answer(self._unkept(error))
        else:
            return True
        return False

    def _commit(self, together: Sequence[_Waiting]) -> None:
        batches = [waiting.batch for waiting in together if waiting.batch is not None]
        started = time.perf_counter()
        try:
            added = self._sink.write_all(batches)
        except BaseException as error:
            self._committed(time.perf_counter() - started, 0)
            if _is_misfit(error):
                self._commit_each(together, error)
                return
            refusal = self._unkept(error)
            for waiting in together:
                waiting.answer(refusal)
        else:
            self._committed(time.perf_counter() - started, len(batches))
            if self._failing:
                self._failing = False
                _log.info("the store can be written again")
            for waiting, batch, outcome in zip(together, batches, added, strict=True):
                waiting.answer(Kept(batch.id, outcome, waiting.size))

    def _commit_each(self, together: Sequence[_Waiting], error: BaseException) -> None:
        """After one of several holds a value that the store does not take: the others are kept."""
        if len(together) > 1:
            for waiting in together:
                self._commit([waiting])
            return
        cause = error.__cause__ or error
        together[0].answer(
            Refusal(422, f"The batch holds a value that the store does not take: {type(cause).__name__}.")
        )

    def _touch(self, waiting: _Waiting) -> None:
        try:
            self._sink.touch()
        except BaseException as error:
            waiting.answer(self._unkept(error))
        else:
            waiting.answer(None)

    def _unkept(self, error: BaseException) -> Refusal:
        if not self._failing:
            self._failing = True
            # Of anything else than the store's own words nobody knows what they hold.
            told = isinstance(error, (SinkError, OSError, sqlite3.Error))
            _log.error("the store cannot be written: %s", error if told else type(error).__name__)
        return later(503, "The store cannot be written now; send this batch again.", RETRY_SECONDS)


def _is_misfit(error: BaseException) -> bool:
    """Whether a value, not the store's state, is why batches could not be kept."""
    return isinstance(error, ValueError | OverflowError) or isinstance(error.__cause__, _MISFITS)
