"""The release window: how many tokens may wait at the broker, and who is let go when fewer do.

Per queue each caller, and each batch, has for each tool so many tokens that no worker has claimed;
the rest is held in the store. That room is there is checked by the commit that lets a job go.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from common.errors import StoreUnreachableError
from common.jobs.change import Done
from common.jobs.head import Head
from common.jobs.held import release
from common.jobs.indexes import HELD, held_index, window_index
from common.jobs.line import WITH_TOKEN
from common.jobs.state import JobState
from common.publishing import publish_token, token_of
from common.runtime import Runtime

log = structlog.get_logger(__name__)

LEAST = 8  # tokens
SWEEP = 5.0  # seconds between two looks at everything that is held
AT_ONCE = 16  # jobs let go together
GROUPS = 10_000  # looked at in one sweep
ROUNDS = 8  # each one that lets nothing go means that somebody else did
SEARCHED = 20  # full windows that are searched for strays in one sweep, whichever they are


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

    def leave(self, head: Head, answer: Done) -> None:
        """A commit took the job's token out of its window: one that is held may come."""
        if answer.counted:
            self.kick(head.queue, head.window, head.tool)

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
        places = await store.places(HELD, limit=GROUPS, newest_first=False)
        waiting, full = [index for _, index in places], list[str]()
        while waiting:
            let_go = {index: await self._let_go_of(index, AT_ONCE) for index in waiting}
            full += [index for index, count in let_go.items() if not count]
            waiting = [index for index, count in let_go.items() if count == AT_ONCE]
        for index in random.sample(full, min(len(full), SEARCHED)):
            if await self._search(index):
                await self._let_go_of(index, AT_ONCE)

    async def _heed_kicks(self) -> None:
        while True:
            await self._kicked.wait()
            self._kicked.clear()
            await self._safely(self._heed)

    async def _heed(self) -> None:
        kicks, self._kicks = self._kicks, {}
        await asyncio.gather(*(self._let_go_of(*each) for each in kicks.items()))

    async def _sweep_on(self) -> None:
        while True:
            await self._safely(self.sweep)
            await self._runtime.clock.sleep(SWEEP)

    async def _safely(self, work: Callable[[], Awaitable[None]]) -> None:
        """What is left of it the next sweep does."""
        try:
            await work()
        except StoreUnreachableError as error:
            log.info("window.waits", error=str(error))
        except Exception:  # boundary: an odd record must not end the process
            log.exception("window.broken")

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
            if not heads:  # they moved on meanwhile, or are strays, or there are none
                if not await self._drop(index, (JobState.HELD,), wanted) and not page.heads:
                    return done
                continue
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

    async def _search(self, index: str) -> int:
        """Strays in the window of those that are held here: they take room for ever. How many."""
        page = await self._runtime.store.page(index, limit=1)
        if not page.heads:
            return 0
        head = page.heads[0]
        window = window_index(head.queue, head.window, head.tool)
        return await self._drop(window, WITH_TOKEN, self.limit(head.queue))

    async def _drop(self, index: str, states: tuple[JobState, ...], limit: int) -> int:
        dropped = await self._runtime.store.drop_strays(index, states, limit)
        if dropped:
            log.warning("window.strays_dropped", index=index, count=dropped)
        return dropped

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
