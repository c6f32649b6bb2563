"""A ledger and the parts that move it, on a stage: tokens, replies and deaths come as a test says.

Claims, reactions, settlement and reconciler are the real ones, over a real store. The broker is a
bag of tokens that the test hands out; a worker is a process only as far as it can die.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Protocol

import anyio.lowlevel
from typing_extensions import override

from common.brokers.base import BrokerError, Depth
from common.clock import SystemClock
from common.config.model import Settings
from common.errors import StoreUnreachableError
from common.heartbeat import Heartbeat
from common.jobs.change import Change, Done, Due, Note, Refused
from common.jobs.endings import cancel
from common.jobs.head import Head
from common.jobs.token import Token, decode_token, encode_token
from common.ledger import transact
from common.reconciler import Reconciler
from common.releasing import ReleaseWindow
from common.runtime import Runtime
from tests.support.ledger import Ledger, touch
from workers.claims import Claimed, Claims
from workers.outcome import Outcome
from workers.reactions import Reactions
from workers.retry_budget import Budgets
from workers.settlement import Settlement

QUEUE = "exporter"


class DiedError(BaseException):
    """The process is gone in the middle of what it did; nothing of it may catch that."""


class Fault(Enum):
    """What happens at a process's next commit."""

    NONE = "nothing"
    AWAY = "the store does not take it; asked again, it does"
    LOST = "it is done, and the reply is lost"
    DIES_FIRST = "the process dies before it"
    DIES = "the process dies before it hears the reply"
    CANCEL_FIRST = "somebody cancels the job before it"
    CANCEL_LOST = "somebody cancels the job after it, and the reply is lost"
    SEIZE_FIRST = "the process's lease is gone before it, and the reconciler looks"
    SEIZE_LOST = "the process's lease is gone after it, and the reply is lost"


DEADLY = frozenset({Fault.DIES_FIRST, Fault.DIES})


class Fate(Enum):
    """What the broker makes of the next token."""

    TAKES = "confirmed, and kept"
    FORGETS = "confirmed, and lost"
    MUTE = "kept, and not confirmed"
    REFUSES = "neither"


def ended_for_good(head: Head) -> bool:
    """What follows for it is its removal."""
    return head.terminal and not head.still_running


class NoWaiting(SystemClock):
    @override
    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()


@dataclass
class Parcel:
    """A delivery, as far as anybody asks."""

    queue: str
    raw: bytes
    priority: int
    published_at: float
    redelivered: bool = False
    acked: bool = False

    async def ack(self) -> None:
        self.acked = True


@dataclass
class Bag:
    """The broker: what lies in it may be taken out in any order, twice, or never."""

    tokens: list[Parcel] = field(default_factory=list)
    fate: Fate = Fate.TAKES

    async def publish(self, queue: str, token: Token, priority: int) -> None:
        fate, self.fate = self.fate, Fate.TAKES
        if fate in {Fate.TAKES, Fate.MUTE}:
            now = SystemClock().now()
            self.tokens.append(Parcel(queue, encode_token(token), priority, now))
        if fate in {Fate.MUTE, Fate.REFUSES}:
            raise BrokerError("not confirmed")

    async def park(self, queue: str, token: Token, priority: int, delay: float) -> None:  # noqa: ARG002 - it comes when the test says
        await self.publish(queue, token, priority)

    async def depth(self, queue: str) -> Depth:
        return Depth(ready=sum(each.queue == queue for each in self.tokens), consumers=1)


class Play(Protocol):
    """What a process needs of the stage."""

    @property
    def ledger(self) -> Ledger: ...
    async def cancel(self, job: str) -> None: ...
    async def seize(self, lease: str, job: str) -> None: ...


class FaultyStore:
    """One process's way to the store; `fault` meets its next commit."""

    def __init__(self, play: Play, lease: str, fault: Fault = Fault.NONE) -> None:
        self._play = play
        self.lease = lease
        self.fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._play.ledger.store, name)

    async def commit(
        self, job_id: str, change: Change, *, version: int, commit_id: str | None = None
    ) -> Done | Refused:
        fault, self.fault = self.fault, Fault.NONE
        match fault:
            case Fault.AWAY:
                raise StoreUnreachableError("away")
            case Fault.DIES_FIRST:
                raise DiedError
            case Fault.CANCEL_FIRST:
                await self._play.cancel(job_id)
            case Fault.SEIZE_FIRST:
                await self._play.seize(self.lease, job_id)
        answer = await self._play.ledger.store.commit(
            job_id, change, version=version, commit_id=commit_id
        )
        match fault:
            case Fault.DIES:
                raise DiedError
            case Fault.CANCEL_LOST:
                await self._play.cancel(job_id)
            case Fault.SEIZE_LOST:
                await self._play.seize(self.lease, job_id)
        if fault in {Fault.LOST, Fault.CANCEL_LOST, Fault.SEIZE_LOST}:
            raise StoreUnreachableError("the reply is lost")
        return answer


@dataclass
class Stage:
    """Everything but the workers. `ledger` may be replaced: the store was restarted."""

    settings: Settings
    ledger: Ledger
    bag: Bag = field(default_factory=Bag)

    def runtime(self, store: Any = None) -> Runtime:
        parts: dict[str, Any] = {"store": store or self.ledger.store, "broker": self.bag}
        return Runtime(
            settings=self.settings, clock=NoWaiting(), notifier=self.ledger.notifier, **parts
        )

    async def cancel(self, job: str) -> None:
        runtime = self.runtime()

        def decide(head: Head) -> Change | None:
            return None if head.terminal else cancel(head, "asked to", runtime.retention)

        await transact(runtime.store, job, decide)

    async def seize(self, lease: str, job: str) -> None:
        """The lease is gone, and a reconciler elsewhere looks at the job."""
        await self.ledger.store.release(lease)
        head = await self.ledger.store.get(job)
        if head is not None and not ended_for_good(head):
            await self.look_at(job)

    async def look_at(self, job: str) -> None:
        """Its check is due, and done."""
        head = await self.ledger.store.get(job)
        if head is not None:
            await self.ledger.store.commit(job, touch(due=Due(after=0)), version=head.version)
            await Reconciler(self.runtime()).sweep()

    async def time_passes(self, job: str, ms: int) -> None:
        """As if so much time had gone by since everything that the record dates."""
        head = await self.ledger.store.get(job)
        if head is not None:
            dated = {name: getattr(head, name) for name in DATED}
            moved = {name: max(1, at - ms) for name, at in dated.items() if at}
            await self.ledger.store.note(job, Note(fields=moved))


DATED = ("lost_at", "finished_at", "not_before", "answer_by", "started_at", "published_at")


class Hand:
    """A worker's process: what it does with a token, what runs in it, how it ends."""

    def __init__(
        self, stage: Stage, lease: str, started: Callable[[Head], Awaitable[None]]
    ) -> None:
        self.store = FaultyStore(stage, lease)
        self.lease = lease
        self.running: dict[str, Claimed] = {}
        self._stage = stage
        self._started = started
        self._held: dict[str, Parcel] = {}
        runtime = stage.runtime(self.store)
        self._claims = Claims(
            runtime, lease, Heartbeat(runtime, lease, dict), ReleaseWindow(runtime)
        )
        self._reactions = Reactions(runtime, self._claims)
        self._settlement = Settlement(runtime, lease, Budgets((), runtime.clock))

    async def take(self, parcel: Parcel, fault: Fault) -> None:
        """As the executor does, without the backend: the tool has started when this returns."""
        self.store.fault = fault
        self._held[""] = parcel
        while not parcel.acked:
            try:
                if await self._take(parcel):
                    break
            except (StoreUnreachableError, BrokerError):
                continue
        self._held.pop("", None)
        self.store.fault = Fault.NONE

    async def _take(self, parcel: Parcel) -> bool:
        token = decode_token(parcel.raw)
        run = self.running.get(token.job)
        if run is not None and run.head.generation == token.generation:
            self._held[token.job] = parcel
            return True
        claimed = await self._claims.claim(token, parcel, runs_here=run is not None)
        if not isinstance(claimed, Claimed):
            await self._reactions.react(claimed, parcel, token)
            return True
        if run is None or run.head.claims != claimed.head.claims:
            self.running[token.job] = claimed
            self._held[token.job] = parcel
            await self._started(claimed.head)
        return True

    async def finish(self, job: str, outcome: Outcome, fault: Fault) -> None:
        self.store.fault = fault
        claimed = self.running[job]
        await self._settlement.settle(claimed.head, outcome)
        self.store.fault = Fault.NONE
        del self.running[job]
        if parcel := self._held.pop(job, None):
            await parcel.ack()

    def die(self) -> None:
        """What it held unacked comes again, at once."""
        self._stage.bag.tokens += [
            replace(parcel, redelivered=True) for parcel in self._held.values() if not parcel.acked
        ]
        self._held.clear()
        self.running.clear()
