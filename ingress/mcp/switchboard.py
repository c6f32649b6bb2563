"""The switchboard: what is open here of handshake-era sessions, and how a word for it finds it.

A client's next request may reach any replica. What it says about a call that another one holds (a
cancel, the reply to a question) is left in the store as a note before the others hear of it, so a
lost hint only delays it: after each gap the notes for everything open here are read, and who was
deleted meanwhile is found out. Only what goes out on a session's own stream can be lost.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from common.clock import Clock
from common.errors import StoreUnreachableError
from common.notifier.base import SESSIONS, Gap, Notifier
from common.store.sessions import SessionStore
from common.wire import dump_json, load_json
from ingress.mcp.legacy_http import Message

log = structlog.get_logger(__name__)

EARLY = 1_000  # names of notes kept, for calls that have not come in yet
LOOK_EVERY = 300.0  # seconds; open calls and streams are signs of life of their session, too
LOOK_AGAIN = 1.0  # seconds, while the store is away
AT_ONCE = 100  # sessions looked at together
UNREAD = 100  # messages that wait for a client that reads its stream slowly; more are dropped


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something here that waits for a word of its client."""

    hear: Callable[[bytes], None]
    end: Callable[[], None]  # the session has ended


class News:
    """What goes out on a session's own stream."""

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self._unread: asyncio.Queue[Message | None] = asyncio.Queue()

    def tell(self, message: Message) -> None:
        if self._unread.qsize() < UNREAD:
            self._unread.put_nowait(message)

    def close(self) -> None:
        self._unread.put_nowait(None)

    async def next(self) -> Message | None:
        """None: the stream should end."""
        return await self._unread.get()


@dataclass(slots=True)
class _Open:
    """What is open here of one session."""

    waiting: dict[str, Waiting] = field(default_factory=dict)  # by the names of notes
    news: News | None = None


class Switchboard:
    def __init__(self, store: SessionStore, notifier: Notifier, clock: Clock) -> None:
        self._store = store
        self._notifier = notifier
        self._clock = clock
        self._name = secrets.token_hex(4)  # among the replicas
        self._open: dict[str, _Open] = {}
        self._early: dict[tuple[str, str], None] = {}  # the oldest first
        self._noted: asyncio.Queue[tuple[str, str]] = asyncio.Queue()  # to be read
        self._stale = asyncio.Event()
        self._closed = False  # streams end as soon as they begin
        self.listening = asyncio.Event()  # nothing may be opened before

    async def run(self) -> None:
        """Hear what reached other replicas, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_now_and_then())
            group.create_task(self._read_notes())
            async with self._notifier.listen([SESSIONS]) as hints:
                self.listening.set()
                async for hint in hints:
                    if isinstance(hint, Gap):
                        self._stale.set()
                    else:
                        self._hear(load_json(hint.payload))

    # --- what is open here

    @contextmanager
    def waiting(self, session: str, name: str, waiting: Waiting) -> Iterator[None]:
        """Open it before the session is read: then either the read or a hint tells what happens."""
        open_ = self._open.setdefault(session, _Open())
        open_.waiting[name] = waiting
        # Call and cancel travel on connections of their own: the later may have come first.
        if (session, name) in self._early:
            del self._early[session, name]
            self._noted.put_nowait((session, name))
        try:
            yield
        finally:
            if open_.waiting.get(name) is waiting:  # a client that repeats an id loses the first
                del open_.waiting[name]
            self._forget(session, open_)

    @contextmanager
    def streaming(self, session: str, caller: str) -> Iterator[News]:
        """The session's own stream is here now; an older one, wherever it is, ends."""
        news = News(caller)
        open_ = self._open.setdefault(session, _Open())
        if open_.news is not None:
            open_.news.close()
        open_.news = news
        if self._closed:
            news.close()
        try:
            yield news
        finally:
            if open_.news is news:
                open_.news = None
            self._forget(session, open_)

    # --- what happens to a session

    async def deliver(self, session: str, name: str, body: bytes) -> None:
        """To whoever waits for it, here or elsewhere.

        Raises:
            StoreUnreachableError: Nobody was told.
        """
        waiting = self._waiting(session, name)
        if waiting is not None:
            waiting.hear(body)
            return
        await self._store.leave(session, name, body)
        await self._publish("note", session, name)

    async def tell(self, session: str, message: Message) -> None:
        """On the session's own stream, wherever it is; lost when its client keeps none open."""
        open_ = self._open.get(session)
        if open_ is not None and open_.news is not None:
            open_.news.tell(message)
        else:
            await self._publish("tell", session, message)

    def tell_all(self, message: Message, caller: str = "") -> None:
        """On every stream that is here, or on this caller's."""
        for open_ in self._open.values():
            if open_.news is not None and caller in {"", open_.news.caller}:
                open_.news.tell(message)

    async def claim_stream(self, session: str) -> None:
        await self._publish("stream", session, self._name)

    async def end(self, session: str) -> None:
        """It was deleted: everything that is open of it ends, everywhere."""
        self._end(session)
        await self._publish("ended", session)

    def close_streams(self) -> None:
        """Those that are here, and those to come: their clients come back to a living process."""
        self._closed = True
        for open_ in self._open.values():
            if open_.news is not None:
                open_.news.close()

    # --- what other replicas say

    async def _publish(self, kind: str, session: str, *more: Any) -> None:
        await self._notifier.publish(SESSIONS, dump_json([kind, session, *more]))

    def _hear(self, hint: Any) -> None:
        match hint:
            case ["note", session, name]:
                if self._waiting(session, name) is not None:
                    self._noted.put_nowait((session, name))
                else:
                    self._early[session, name] = None
                    if len(self._early) > EARLY:
                        del self._early[next(iter(self._early))]
            case ["ended", session]:
                self._end(session)
            case ["stream", session, name] if name != self._name:
                self._on_stream(session, News.close)
            case ["tell", session, message]:
                self._on_stream(session, lambda news: news.tell(message))

    async def _read_notes(self) -> None:
        while True:
            session, name = await self._noted.get()
            try:
                notes = await self._store.notes(session, [name])
            except StoreUnreachableError:
                self._stale.set()
            else:
                self._pass_on(session, notes.items())

    async def _look_now_and_then(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._stale.wait()
            except TimeoutError:
                pass
            self._stale.clear()
            try:
                await self._look()
            except StoreUnreachableError as error:
                log.warning("sessions.not_looked_at", error=str(error))
                await self._clock.sleep(LOOK_AGAIN)
                self._stale.set()

    async def _look(self) -> None:
        sessions = list(self._open)
        for first in range(0, len(sessions), AT_ONCE):
            together = sessions[first : first + AT_ONCE]
            await asyncio.gather(*(self._look_at(session) for session in together))

    async def _look_at(self, session: str) -> None:
        if await self._store.get(session) is None:
            self._end(session)
            return
        open_ = self._open.get(session)
        if open_ is not None:
            names = list(open_.waiting)
            self._pass_on(session, (await self._store.notes(session, names)).items())

    # --- the parts

    def _waiting(self, session: str, name: str) -> Waiting | None:
        open_ = self._open.get(session)
        return None if open_ is None else open_.waiting.get(name)

    def _pass_on(self, session: str, notes: Any) -> None:
        for name, body in notes:
            waiting = self._waiting(session, name)
            if waiting is not None:
                waiting.hear(body)

    def _end(self, session: str) -> None:
        open_ = self._open.get(session)
        if open_ is None:
            return
        for waiting in tuple(open_.waiting.values()):
            waiting.end()
        if open_.news is not None:
            open_.news.close()

    def _on_stream(self, session: str, act: Callable[[News], None]) -> None:
        open_ = self._open.get(session)
        if open_ is not None and open_.news is not None:
            act(open_.news)

    def _forget(self, session: str, open_: _Open) -> None:
        if not open_.waiting and open_.news is None and self._open.get(session) is open_:
            del self._open[session]
