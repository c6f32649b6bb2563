"""Follow: what an ingress hears of jobs, on one channel, without lost wake-ups.

A hint may be lost, so it never stands alone: the watcher is stored with the record before anything
can happen to it, and after every gap each followed record is read again, as it is every 30 s.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog

from common.errors import StoreUnreachableError
from common.jobs.change import WATCH_END, Note
from common.jobs.state import TERMINAL
from common.notifier.base import (
    DOCUMENTS_CHANGED,
    KEYS_CHANGED,
    NEWS,
    Gap,
    ingress_channel,
)
from common.notifier.hints import JobHint, decode_hint
from common.runtime import Runtime
from ingress.catalogue_feed import CatalogueFeed
from ingress.document_news import DocumentNews
from ingress.key_ring import KeyRing

log = structlog.get_logger(__name__)

POLL = 30.0  # seconds
BUFFERED = 1_000  # hints of one job that nobody has read yet; older ones are dropped


class Watch:
    """One reader of one job. Of progress it keeps the newest only."""

    def __init__(self, *, everything: bool) -> None:
        self.everything = everything  # False: only the end
        self.job = ""
        self.shared = False  # the job was there before this reader
        self.end: JobHint | None = None
        self._version = 0
        self._hints: deque[JobHint] = deque(maxlen=BUFFERED)
        self._waiting = asyncio.Event()

    async def next(self, patience: float | None) -> JobHint | None:
        """The next hint, the end again and again; None after `patience` seconds, or when woken."""
        if not self._hints and self.end is None:
            loop = asyncio.get_running_loop()
            alarm = None if patience is None else loop.call_later(patience, self.wake)
            try:
                await self._waiting.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()
        self._waiting.clear()
        return self._hints.popleft() if self._hints else self.end

    def wake(self) -> None:
        """Whoever waits in `next` looks around now."""
        self._waiting.set()

    def tell(self, hint: JobHint) -> None:
        if hint.kind == "state":
            if hint.version <= self._version:
                return
            self._version = hint.version
            if hint.state in TERMINAL:
                self.end = hint
        if hint.kind == "progress" and self._hints and self._hints[-1].kind == "progress":
            self._hints.pop()
        if self.end is not hint:
            self._hints.append(hint)
        self._waiting.set()


class Follower:
    def __init__(
        self,
        runtime: Runtime,
        lease: str,
        feed: CatalogueFeed,
        ring: KeyRing,
        documents: DocumentNews,
    ) -> None:
        self._runtime = runtime
        self._lease = lease
        self._feed = feed
        self._ring = ring
        self._documents = documents
        self._watches: dict[str, set[Watch]] = {}

    async def run(self) -> None:
        """Hear hints until cancelled; a slow poll stands behind them."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._poll())
            channels = [ingress_channel(self._lease), NEWS]
            async with self._runtime.notifier.listen(channels) as hints:
                async for hint in hints:
                    if isinstance(hint, Gap):
                        self._feed.refresh_soon()
                        self._ring.refresh_soon()
                        group.create_task(self._read_again())
                    elif hint.channel == NEWS:
                        self._hear_news(hint.payload)
                    else:
                        self._tell(decode_hint(hint.payload))

    def _hear_news(self, payload: bytes) -> None:
        if payload == KEYS_CHANGED:
            self._ring.refresh_soon()
        elif payload.startswith(DOCUMENTS_CHANGED):
            self._documents.hear(payload)
        else:
            self._feed.refresh_soon()

    def bind(self, watch: Watch, job: str, *, shared: bool = False) -> str:
        """Follow a job, and no other, until `forget`; the watcher that its record must have."""
        self.forget(watch)
        watch.job, watch.shared = job, shared
        self._watches.setdefault(job, set()).add(watch)
        return self._lease if watch.everything else self._lease + WATCH_END

    @property
    def following(self) -> int:
        """How many jobs somebody waits for here."""
        return len(self._watches)

    def ended(self, job: str) -> bool:
        """Its end was heard here already."""
        return any(watch.end is not None for watch in self._watches.get(job, ()))

    @asynccontextmanager
    async def follow(self, job: str, *, everything: bool) -> AsyncIterator[Watch]:
        """Follow a job that exists; read its record after entering, hints tell what comes later.

        Raises:
            StoreUnreachableError: The watcher could not be stored.
        """
        watch = Watch(everything=everything)
        try:
            name = self.bind(watch, job, shared=True)
            await self._runtime.store.note(job, Note(watch=name))
            yield watch
        finally:
            self.forget(watch)

    def forget(self, watch: Watch) -> None:
        """It follows no job any more; who made it says so in the end."""
        watches = self._watches.get(watch.job)
        if watches is None:
            return
        watches.discard(watch)
        if not watches:
            del self._watches[watch.job]

    def _tell(self, hint: JobHint) -> None:
        for watch in tuple(self._watches.get(hint.job, ())):
            watch.tell(hint)

    async def _poll(self) -> None:
        while True:
            await self._runtime.clock.sleep(POLL)
            await self._read_again()

    async def _read_again(self) -> None:
        for job in self._not_ended():
            try:
                head = await self._runtime.store.get(job)
            except StoreUnreachableError:
                return
            if head is not None:
                self._tell(
                    JobHint(kind="state", job=job, state=str(head.state), version=head.version)
                )

    def _not_ended(self) -> Iterable[str]:
        return [job for job in self._watches if not self.ended(job)]
