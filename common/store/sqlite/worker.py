"""One thread with one connection: what waits at the same moment travels in one transaction."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from common.errors import StoreUnreachableError

log = structlog.get_logger(__name__)

BATCH = 256  # operations in one transaction, so that the first does not wait for very many

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


@dataclass(slots=True)
class _Operation:
    work: Work[Any]
    future: asyncio.Future[Any]
    then: Callable[[Any], None] | None
    answer: Any = None
    error: Exception | None = None


class DatabaseThread:
    """Runs operations in the order they came and answers once they are durable.

    Each stands in a savepoint of its own: one that fails leaves nothing and harms no other.
    """

    def __init__(self, connection: sqlite3.Connection, name: str, *, writes: bool) -> None:
        self._connection = connection
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        self._loop = asyncio.get_running_loop()
        self._waiting: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Work[T], then: Callable[[T], None] | None = None) -> T:
        """The answer of `work`, once it is durable; `then` is called even if the caller has left.

        Raises:
            StoreUnreachableError: The disk refused, or the store is closed.
        """
        if self._closed:
            raise StoreUnreachableError("the store is closed", nothing_written=True)
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put(_Operation(work, future, then))
        return await future

    async def aclose(self) -> None:
        """Carry out what waits, then end the thread and the connection."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- in the thread

    def _run(self) -> None:
        open_ = True
        while open_:
            batch = [self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            operations = [each for each in batch if each is not None]
            open_ = len(operations) == len(batch)
            if operations:
                self._transact(operations)
                self._loop.call_soon_threadsafe(_answer, operations)
        self._connection.close()

    def _transact(self, operations: list[_Operation]) -> None:
        try:
            self._connection.execute(self._begin)
            for operation in operations:
                self._operate(operation)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            log.warning("store.transaction_failed", operations=len(operations), error=str(error))
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for operation in operations:
                operation.error = _unreachable(error)

    def _operate(self, operation: _Operation) -> None:
        self._connection.execute("SAVEPOINT operation")
        try:
            operation.answer = operation.work(self._connection)
        except Exception as error:  # the boundary: whoever asked gets the error
            if not self._connection.in_transaction:
                raise  # a full disk rolled everything back: nobody's work stands
            self._connection.execute("ROLLBACK TO operation")
            lost = isinstance(error, sqlite3.OperationalError)
            operation.error = _unreachable(error) if lost else error
        self._connection.execute("RELEASE operation")


def _answer(operations: list[_Operation]) -> None:
    for operation in operations:
        if operation.error is None and operation.then is not None:
            operation.then(operation.answer)
        if operation.future.done():  # whoever asked has gone
            continue
        if operation.error is None:
            operation.future.set_result(operation.answer)
        else:
            operation.future.set_exception(operation.error)


def _unreachable(error: Exception) -> StoreUnreachableError:
    return StoreUnreachableError(
        f"the store's file cannot be read or written: {error}", nothing_written=True
    )
