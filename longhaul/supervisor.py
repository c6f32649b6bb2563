"""The parent of a worker: starts it, clears up after it when it dies, and starts it again.

It does no work and holds no connection, so that nothing a job or a backend does can end it. What
its worker leaves it ends in this order: the replicas' process groups, then the lease; the worker's
jobs are settled by others within about a second, long before the lease would have lapsed.
"""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import structlog

from common.backoff import Backoff
from common.clock import Clock
from common.errors import StoreUnreachableError
from common.notifier.memory import MemoryNotifier
from common.runtime import new_lease
from common.store.open import open_store
from longhaul.assignment import Assignment
from longhaul.exits import Exit
from workers.backends.groups import records_folder
from workers.remains import kill_replicas, release_lease

log = structlog.get_logger(__name__)

STEADY = 10.0  # seconds of life after which earlier deaths are forgotten
FIRST_DELAY = 0.5  # seconds before a worker is started again
LONGEST_DELAY = 30.0
NOT_STARTED = 1  # the exit status of a worker that never was

Start = Callable[[Assignment], Awaitable[asyncio.subprocess.Process]]


class Supervisor:
    """`assignment` is what each worker gets, with a lease of its own."""

    def __init__(self, assignment: Assignment, clock: Clock, start: Start) -> None:
        self._assignment = assignment
        self._clock = clock
        self._start = start
        self._data = Path(assignment.settings.data)
        self._child: asyncio.subprocess.Process | None = None
        self._asked: list[signal.Signals] = []  # to stop; a second one means now
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Until it was asked to stop; the exit code."""
        backoff = Backoff(first=FIRST_DELAY, limit=LONGEST_DELAY)
        while True:
            started = self._clock.monotonic()
            status = await self._one_life()
            if self._stop.is_set() or status == 0 or self._never_began(status):
                return exit_code(status, self._asked)
            if self._clock.monotonic() - started >= STEADY:
                backoff.reset()
            delay = backoff.next()
            log.warning("worker.died", status=status, next_in=round(delay, 2))
            if await self._stopped_within(delay):
                return Exit.DONE
            self._change(restarts=self._assignment.restarts + 1)

    def stop(self, number: signal.Signals) -> None:
        """Pass on a signal that asks for the end."""
        log.info("worker.stopping", signal=number.name)
        self._asked.append(number)
        self._stop.set()
        self._signal(number)

    async def _one_life(self) -> int:
        """A worker from its start to its end, with all that it leaves; its exit status."""
        self._change(lease=new_lease("worker"))
        try:
            child = self._child = await self._start(self._assignment)
        except OSError as error:  # no memory or no process to be had just now
            log.warning("worker.not_started", error=str(error))
            return NOT_STARTED
        log.info("worker.started", lease=self._assignment.lease, pid=child.pid)
        if self._asked:  # while it was being started
            self._signal(self._asked[-1])
        status = await child.wait()
        self._child = None
        if status != 0 or records_folder(self._data, self._assignment.lease).exists():
            await self._clear_up()
        return status

    async def _clear_up(self) -> None:
        lease = self._assignment.lease
        try:
            killed = await kill_replicas(self._data, lease)
            self._change(groups_killed=self._assignment.groups_killed + killed)
            await self._release(lease)
        except Exception:  # the boundary of a life: what follows the next one is another matter
            log.exception("worker.not_cleared", lease=lease)

    async def _release(self, lease: str) -> None:
        settings = self._assignment.settings
        async with open_store(
            settings.store_url, settings.namespace, self._clock, MemoryNotifier()
        ) as store:
            try:
                await release_lease(self._data, lease, store)
            except StoreUnreachableError as error:  # the next worker does it
                log.warning("lease.not_released", lease=lease, error=str(error))

    def _never_began(self, status: int) -> bool:
        """What was asked for is wrong, and would be again."""
        return status == Exit.USAGE and self._assignment.restarts == 0

    def _change(self, **fields: str | int) -> None:
        self._assignment = self._assignment.model_copy(update=fields)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()


def exit_code(status: int, asked: list[signal.Signals]) -> int:
    """The parent's own, as a shell would say it; well, if all that was asked for was the end."""
    if status >= 0:
        return status
    return Exit.DONE if asked == [-status] else 128 - status


async def start_worker(assignment: Assignment) -> asyncio.subprocess.Process:
    """A worker in a session of its own: a Ctrl-C at the terminal is for the parent to pass on.

    Its standard input stays open for as long as this process lives, and so it knows that. The
    assignment goes the same way: it has secrets, and the line of a command is no place for them.
    """
    # -P: a folder of the operator's must not stand in for one of ours.
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "longhaul.supervised", assignment.lease),
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,
        pass_fds=() if assignment.listening is None else (assignment.listening,),
    )
    given = cast("asyncio.StreamWriter", child.stdin)
    with suppress(ConnectionError):  # it died at once; its exit is seen
        given.write(assignment.model_dump_json().encode() + b"\n")
        await given.drain()
    return child
