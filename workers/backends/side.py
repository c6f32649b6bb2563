"""Tasks beside a connection: they live as long as a block, and their failures harm nobody."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import structlog

from common.tasks import cancel_and_join

log = structlog.get_logger(__name__)


class Side:
    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await cancel_and_join(*self._tasks)

    def start(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._contained(what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: what.close())  # it may be over before it has begun
        return task

    async def _contained(self, what: Coroutine[Any, Any, None]) -> None:
        try:
            await what
        except Exception:  # boundary: what runs beside calls must not end them
            log.warning("backend.side_task_failed", backend=self._backend, exc_info=True)
