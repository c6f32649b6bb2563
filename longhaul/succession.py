"""Succession: the worker of a parent, and those that it relieved with a new configuration."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable

import structlog
import uvloop

from common.clock import Clock, SystemClock
from common.tasks import first_of
from longhaul.assignment import Assignment
from longhaul.serving import listen_on, signals_heeded
from longhaul.supervisor import Start, Supervisor, start_worker
from longhaul.working import background

log = structlog.get_logger(__name__)


class Succession:
    """`reread` answers the assignment from now on, or None where all stays as it is."""

    def __init__(
        self,
        assignment: Assignment,
        clock: Clock,
        start: Start,
        reread: Callable[[], Assignment | None],
    ) -> None:
        self._clock = clock
        self._start = start
        self._reread = reread
        self._newest = Supervisor(assignment, clock, start)
        self._relieved: list[Supervisor] = []
        self._lives: dict[Supervisor, asyncio.Task[int]] = {}
        self._asked = False
        self._over = False  # the newest one has ended, and nobody follows it
        self._changed = asyncio.Event()

    async def run(self) -> int:
        """Until all have ended; the newest one's exit code."""
        self._live(self._newest)
        while not (life := self._lives[self._newest]).done():
            self._changed.clear()
            await first_of(self._changed.wait(), asyncio.wait([life]))
        self._over = True
        await asyncio.wait(self._lives.values())
        return life.result()

    def reload(self) -> None:
        """A new worker starts with the configuration as it is now; the one before it drains."""
        assignment = None if self._asked or self._over else self._reread()
        if assignment is None:
            return
        before, self._newest = self._newest, Supervisor(assignment, self._clock, self._start)
        self._relieved.append(before)
        self._live(self._newest)
        log.info("worker.relieved")
        before.stop(signal.SIGTERM)

    def stop(self, number: signal.Signals) -> None:
        """The relieved drain already: only a second signal is for them, too."""
        self._newest.stop(number)
        if self._asked:
            for each in self._relieved:
                each.stop(number)
        self._asked = True

    def _live(self, supervisor: Supervisor) -> None:
        self._lives[supervisor] = asyncio.create_task(supervisor.run())
        self._changed.set()


def supervise(
    assignment: Assignment,
    reread: Callable[[], Assignment | None],
    hang_ups: AsyncIterator[None],
) -> int:
    """Run the parent to its end; its exit code. At each hang-up it reads the assignment again.

    Raises:
        PortTakenError: Nothing was started.
    """

    async def run(given: Assignment) -> int:
        listening = given.listening

        def relisten() -> Assignment | None:
            again = reread()
            return again and again.model_copy(update={"listening": listening})

        parent = Succession(given, SystemClock(), start_worker, relisten)
        loop = asyncio.get_running_loop()
        for number in signals_heeded():
            loop.add_signal_handler(number, parent.stop, number)
        async with background(_heed(hang_ups, parent)):
            return await parent.run()

    with contextlib.ExitStack() as stack:
        if assignment.port is not None:
            # Here, and not in the worker: its successor listens while it drains.
            host = assignment.settings.listen.host
            listening = stack.enter_context(contextlib.closing(listen_on(host, assignment.port)))
            assignment = assignment.model_copy(update={"listening": listening.fileno()})
        return uvloop.run(run(assignment))


async def _heed(hang_ups: AsyncIterator[None], parent: Succession) -> None:
    async for _ in hang_ups:
        parent.reload()
