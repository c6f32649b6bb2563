"""The sender, in every ingress: takes what is owed to callers' URLs, posts it, writes what came.

It is told by hints: of ends, and by whoever finds in the due index that something is owed. One that
nobody heard comes again with the next look there. Any number of senders may hear the same hint: a
guarded commit lets one of them try.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

import structlog

from common.backoff import Backoff
from common.errors import StoreUnreachableError
from common.jobs.callbacks import CALLBACKS, SENT_AT_ENDS, is_owed, message_id, take
from common.jobs.change import Change, Done
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.indexes import rows_index
from common.jobs.rows import ENDED
from common.ledger import ContendedError, transact
from common.notifier.base import Hint, ingress_channel
from common.notifier.hints import JobHint, decode_hint
from common.runtime import Runtime
from common.telemetry.metrics import CallbackEnd
from ingress.callbacks.message import body_of, headers_of
from ingress.callbacks.post import Post
from ingress.callbacks.resolving import Resolver
from ingress.callbacks.target import read_target, shown_host
from ingress.callbacks.verdict import Retries, settle, verdict_on

log = structlog.get_logger(__name__)

WAITING = 1_000  # jobs heard of and not yet sent; further ones come again with the due index
SHARE = 10  # of these, a tenth may wait for one host
HOLD_MS = 15_000  # besides its time limit, until a try counts as dead with its process
_ENDS: dict[str, CallbackEnd] = {
    "callback_delivered": "delivered",
    "callback_retried": "retried",
    "callback_failed": "failed",
}
WRITES = 5  # tries to write what came, each of up to 5 s


class _Host:
    """What goes to one host: one that does not answer keeps no other waiting."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self.gate = asyncio.Semaphore(at_once)
        self.places = asyncio.Semaphore(at_once + waiting)


class CallbackSender:
    def __init__(self, runtime: Runtime, resolver: Resolver, *, waiting: int = WAITING) -> None:
        settings = runtime.settings.callbacks
        self._runtime = runtime
        self._secrets = settings.secrets
        self._public_url = settings.public_url
        self._hold_ms = round(settings.timeout * 1000) + HOLD_MS
        self._post = Post(resolver, settings.timeout)
        self._gate = asyncio.Semaphore(settings.at_once)
        self._to_one_host = max(1, settings.at_once // 4)
        self._waiting = waiting
        self._hosts: WeakValueDictionary[str, _Host] = WeakValueDictionary()
        self._under_way: set[str] = set()

    async def run(self) -> None:
        """Until cancelled. Without a secret nothing is sent from here: another ingress has it."""
        if not self._secrets:
            return
        channel = ingress_channel(CALLBACKS)
        async with (
            asyncio.TaskGroup() as group,
            self._runtime.notifier.listen([channel]) as hints,
        ):
            async for hint in hints:
                if isinstance(hint, Hint):
                    self._heed(decode_hint(hint.payload), group)

    def _heed(self, hint: JobHint, group: asyncio.TaskGroup) -> None:
        if hint.body not in SENT_AT_ENDS or hint.job in self._under_way:
            return
        if len(self._under_way) < self._waiting:
            self._under_way.add(hint.job)
            group.create_task(self._send(hint.job))

    async def _send(self, job: str) -> None:
        try:
            head = await self._runtime.store.get(job)
            if head is None or head.newer or not is_owed(head):
                return
            host = self._host(shown_host(head.spec.callback))
            if host.places.locked():
                return  # it comes again with the due index
            async with host.places, host.gate, self._gate:
                await self._try(head)
        except (StoreUnreachableError, ContendedError) as error:
            log.info("callback.delayed", job_id=job, error=str(error))
        except Exception:  # boundary: one odd message must not end the others
            log.exception("callback.broken", job_id=job)
        finally:
            self._under_way.discard(job)

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(self._to_one_host, self._waiting // SHARE)
        return host

    async def _try(self, seen: Head) -> None:
        runtime = self._runtime

        def begin(head: Head) -> Change | None:
            return take(head, self._hold_ms) if is_owed(head) else None

        taken = await transact(runtime.store, seen.id, begin, head=seen)
        if not isinstance(taken, Done):
            return
        head: Head = taken.head
        result = None if head.result_blob else await runtime.store.part(head.id, RESULT)
        body = body_of(head, result, self._public_url, await self._counts(head))
        headers = headers_of(head, body, self._secrets, runtime.clock.now())
        verdict = verdict_on(await self._post.send(read_target(head.spec.callback), headers, body))
        chance, retries = random.random(), self._retries

        def end(current: Head) -> Change | None:
            if message_id(current) != message_id(head):  # it has ended once more
                return None
            if not is_owed(current) or current.callback_tries != head.callback_tries:
                return None  # somebody wanted it again meanwhile, or another try began
            return settle(current, verdict, retries, chance, taken.now)

        await self._write(head.id, end)
        self._tell(head, settle(head, verdict, retries, chance, taken.now))

    @property
    def _retries(self) -> Retries:
        settings = self._runtime.settings.callbacks
        return Retries(
            attempts=settings.attempts,
            first_ms=round(settings.first * 1000),
            max_ms=round(settings.max * 1000),
            kept_ms=self._runtime.retention.failed,  # a reload may change it
        )

    async def _counts(self, head: Head) -> Mapping[str, int] | None:
        if not head.is_batch:
            return None
        counts = await self._runtime.store.counts([rows_index(head.id, each) for each in ENDED])
        return dict(zip(ENDED, counts, strict=True))

    async def _write(self, job: str, end: Callable[[Head], Change | None]) -> None:
        """A store that is away for longer than this costs a second message."""
        backoff = Backoff(first=0.2, limit=2.0)
        for left in reversed(range(WRITES)):
            try:
                await transact(self._runtime.store, job, end)
            except StoreUnreachableError:
                if not left:
                    raise
                await self._runtime.clock.sleep(backoff.next())
            else:
                return

    def _tell(self, head: Head, change: Change) -> None:
        """Where it went, without what stands behind the host."""
        end = _ENDS[change.name]
        self._runtime.metrics.callback_tries.labels(end=end).inc()
        log.info(
            "callback.tried",
            job_id=head.id,
            end=end,
            host=shown_host(head.spec.callback),
            tried=head.callback_tries,
            error=change.facts.get("error"),
        )
