"""The release window: how many tokens may wait at the broker, and who is let go when fewer do.

Per queue each caller, and each batch, has for each tool so many tokens that no worker has claimed;
the rest is held in the store. That room is there is checked by the commit that lets a job go.
"""

import asyncio
from contextlib import suppress

import structlog

from common.errors import StoreUnreachableError
from common.jobs.change import Done
from common.jobs.head import Head
from common.jobs.held import release
from common.jobs.indexes import HELD, held_index, window_index
from common.jobs.state import JobState
from common.publishing import publish_token, token_of
from common.runtime import Runtime

log = structlog.get_logger(__name__)

LEAST = 8  # tokens
SWEEP = 5.0  # seconds between two looks at everything that is held
AT_ONCE = 16  # jobs let go together
GROUPS = 10_000  # looked at in one sweep
ROUNDS = 8  # each one that lets nothing go means that somebody else did


def window_of(slots: int) -> int:
    """Tokens that may wait for so many slots: none of these runs dry while more is let go."""
    return max(LEAST, 2 * slots)


class ReleaseWindow:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._slots: dict[str, int] = {}
        self._kicks: dict[str, int] = {}  # index of held jobs: places that became free in it
        self._kicked = asyncio.Event()

    def limit(self, queue: str) -> int:
        """As the last look at the workers says."""
        return window_of(self._slots.get(queue, 0))

    def kick(self, queue: str, window: str, tool: str) -> None:
        """There may be room, and held jobs: these are let go soon."""
        index = held_index(queue, window, tool)
        self._kicks[index] = self._kicks.get(index, 0) + 1
        self._kicked.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heed_kicks())
            group.create_task(self._sweep_on())

    async def sweep(self) -> None:
        """Let go what has room, of every caller in turn.

        Raises:
            StoreUnreachableError: The rest is let go later.
        """
        store = self._runtime.store
        self._slots = await self._read_slots()
        waiting = [index for _, index in await store.places(HELD, limit=GROUPS)]
        while waiting:
            waiting = [
                index for index in waiting if await self._let_go_of(index, AT_ONCE) == AT_ONCE
            ]

    async def _heed_kicks(self) -> None:
        while True:
            await self._kicked.wait()
            self._kicked.clear()
            kicks, self._kicks = self._kicks, {}
            with suppress(StoreUnreachableError):  # the next sweep lets go
                await asyncio.gather(*(self._let_go_of(*each) for each in kicks.items()))

    async def _sweep_on(self) -> None:
        while True:
            try:
                await self.sweep()
            except StoreUnreachableError as error:
                log.info("window.waits", error=str(error))
            except Exception:  # boundary: an odd record must not end the process
                log.exception("window.broken")
            await self._runtime.clock.sleep(SWEEP)

    async def _read_slots(self) -> dict[str, int]:
        slots: dict[str, int] = {}
        for lease in await self._runtime.store.leases():
            if lease.alive and not lease.info.get("draining"):
                for queue, said in (lease.info.get("queues") or {}).items():
                    slots[queue] = slots.get(queue, 0) + int(said.get("slots") or 0)
        return slots

    async def _let_go_of(self, index: str, most: int) -> int:
        """Up to so many of one index, the most urgent and then the oldest first; how many it was.

        Raises:
            StoreUnreachableError.
        """
        done = 0
        for _ in range(ROUNDS):
            wanted = min(AT_ONCE, most - done)
            page = await self._runtime.store.page(index, limit=wanted, newest_first=True)
            heads = [head for head in page.heads if head.state is JobState.HELD]
            if not heads:
                return done
            heads = heads[: await self._room_for(heads[0])]
            answers = await asyncio.gather(*(self._let_go(head) for head in heads))
            done += sum(answer is True for answer in answers)
            if done >= most or None in answers:
                return done
        return done

    async def _room_for(self, head: Head) -> int:
        """Places to try for: at least one, for what waits may be less urgent."""
        index = window_index(head.queue, head.window, head.tool)
        return max(1, self.limit(head.queue) - await self._runtime.store.count(index))

    async def _let_go(self, head: Head) -> bool | None:
        """None: there is no room; False: it moved on in another way."""
        change = release(head, self.limit(head.queue))
        answer = await self._runtime.store.commit(head.id, change, version=head.version)
        if not isinstance(answer, Done):
            return None if answer.guard == "Window" else False
        token = token_of(head, generation=head.generation, version=answer.version)
        await publish_token(self._runtime, head, token)
        self._runtime.metrics.released.inc()
        return True
