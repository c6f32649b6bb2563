"""A life of the ledger: what may happen in it, and what must hold whatever does.

Every happening takes its choices from one `Random`, so that a list of seeds is a history.
"""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from common.answering import store_answers
from common.config.model import Settings
from common.errors import StoreUnreachableError
from common.jobs.answers import answer_instead
from common.jobs.change import Done, Unique
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.questions import next_round
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS, submit
from common.publishing import publish_token, token_of
from common.wire import load_json
from ingress.mcp.task_views import ended, status_of
from tests.support.ledger import SUBMISSION, a_job_id, check_invariants, open_ledger
from tests.support.stage import (
    DEADLY,
    DiedError,
    Fate,
    Fault,
    FaultyStore,
    Hand,
    Stage,
    ended_for_good,
)
from workers.outcome import Answered, Asked, NotReached, Outcome, Refused, Stopped, Vanished

WORKERS = 2
INGRESS = "ingress"
ATTEMPTS = 2
JOBS = 12
A_WHILE = 2 * LEASE_MS
COUNTED = 8  # happenings between two counts of everything
OUTCOMES = ("vanished", "unreached", "asked", "answered", "answered", "refused", "stopped")


@dataclass
class Told:
    """What the world outside knows of a job."""

    job: str
    repeatable: bool
    held: bool
    accepted: bool = False  # its id was given out
    starts: list[int] = field(default_factory=list)  # the claims under which the tool may have run
    results: dict[int, int] = field(default_factory=dict)  # claim: what the tool said
    view: str = ""  # once it is terminal for a client
    version: int = 0
    kept: bool = True  # until its retention is over


class Rehearsal:
    def __init__(self, url: str, namespace: str, opened: AsyncExitStack) -> None:
        self.jobs: dict[str, Told] = {}
        self.stage: Stage
        self.hands: list[Hand] = []
        self._where = url, namespace
        self._opened = opened
        self._births = 0

    async def begin(self) -> None:
        """With jobs of each kind, so that there is something to happen to."""
        ledger = await self._opened.enter_async_context(open_ledger(*self._where))
        self.stage = Stage(Settings(), ledger)
        self.hands = [await self._born() for _ in range(WORKERS)]
        await ledger.store.beat(INGRESS, {})
        for repeatable in (False, True):
            await self.submit(self.new(repeatable, held=False), Fault.NONE)

    def new(self, repeatable: bool, *, held: bool) -> Told:
        told = Told(a_job_id(), repeatable, held)
        self.jobs[told.job] = told
        return told

    async def submit(self, told: Told, fault: Fault) -> None:
        store = FaultyStore(self.stage, INGRESS, fault)
        spec = replace(
            SUBMISSION.spec, repeatable=told.repeatable, attempts=ATTEMPTS, retry_first_ms=0
        )
        submission = replace(SUBMISSION, spec=spec, holder=INGRESS if told.held else "")

        async def work() -> None:
            # A repeated call has an id of its own, and finds by its key what there is.
            known = await store.get(told.job)
            job = told.job if known is None else a_job_id()
            change = submit(submission, await store.now(), (Unique(told.job),))
            answer = await store.commit(job, change, version=0)
            if isinstance(answer, Done):
                head = await self.stage.ledger.head(job)
                token = token_of(head, generation=1, version=answer.version)
                await publish_token(self.stage.runtime(store), head, token)
            else:
                job = answer.holder_of_key
            assert job == told.job
            told.accepted = True

        await self._survive(work())

    async def answer(self, told: Told, fault: Fault) -> None:
        store = FaultyStore(self.stage, INGRESS, fault)
        head = await store.get(told.job)
        if head is not None:
            runtime = self.stage.runtime(store)
            await self._survive(
                store_answers(runtime, head, lambda asked: answer_instead(asked, None))
            )

    def outcome(self, number: int, job: str, word: str) -> Outcome:
        claimed, told = self.hands[number].running[job], self.jobs[job]
        match word:
            case "vanished":
                return Vanished("the connection was lost")
            case "refused":
                return Refused({"code": 1, "message": "no"})
            case "stopped":
                return Stopped()
            case "unreached":
                told.starts.remove(claimed.head.claims)  # it never began
                return NotReached("it was not up")
            case "asked":
                told.starts.remove(claimed.head.claims)  # it is over, and goes on when answered
                asks = {"a": {"method": "roots/list"}}
                return Asked(
                    next_round(claimed.asked, asks, state=None, capabilities={}, now=claimed.now)
                )
        said = told.results.setdefault(claimed.head.claims, len(told.results))
        return Answered({"content": [], "said": said})

    # --- the promises

    async def check(self) -> None:
        for told in self.jobs.values():
            head = await self.stage.ledger.store.get(told.job)
            assert len(set(told.starts)) == len(told.starts), "a claim was run twice"
            assert told.repeatable or len(told.starts) <= 1, "an unsafe tool was started twice"
            if head is None:
                assert not (told.accepted and told.kept), "an accepted job is gone"
                continue
            await self._check(told, head)

    async def _check(self, told: Told, head: Head) -> None:
        assert head.version >= told.version
        told.version = head.version
        assert 0 <= head.tries <= ATTEMPTS
        if head.state is JobState.RUNNING:
            owner = next((hand for hand in self.hands if hand.lease == head.owner), None)
            assert owner is None or head.id in owner.running, "a living worker has forgotten it"
        assert head.claims >= max(told.starts, default=0)
        view = status_of(head, await self.stage.ledger.store.now())
        assert not told.view or view == told.view, "a terminal view changed"
        told.view = view if ended(view) else ""
        if head.state is JobState.COMPLETED:
            body = await self.stage.ledger.store.part(head.id, RESULT)
            said = load_json(body or b"{}").get("said")
            assert said == told.results.get(head.claims), "a result of another claim"

    async def count(self) -> None:
        """Counters are what they count; every record stands in the due index once."""
        await check_invariants(self.stage.ledger)

    async def end(self) -> None:
        """All is well again: everything comes to an end."""
        for _ in range(3 * ATTEMPTS + 8):
            waiting = [told for told in self.jobs.values() if await self._unfinished(told)]
            if not waiting:
                break
            await self._help(waiting)
        assert [told for told in self.jobs.values() if await self._unfinished(told)] == []
        await self.check()
        await self.count()

    async def _help(self, waiting: list[Told]) -> None:
        for number, job in self.busy:
            outcome = self.outcome(number, job, "answered")
            await self.hands[number].finish(job, outcome, Fault.NONE)
        alive = {hand.lease for hand in self.hands}
        for told in waiting:
            head = await self.stage.ledger.store.get(told.job)
            if head is not None and not ended_for_good(head):
                if head.owner and head.owner not in alive:
                    await self.stage.ledger.store.release(head.owner)
                await self.stage.time_passes(told.job, A_WHILE)
                await self.stage.look_at(told.job)
                await self.answer(told, Fault.NONE)
        tokens, self.stage.bag.tokens = self.stage.bag.tokens, []
        for parcel in tokens:
            await self.hands[0].take(replace(parcel), Fault.NONE)

    async def _unfinished(self, told: Told) -> bool:
        head = await self.stage.ledger.store.get(told.job)
        return head is not None and not ended_for_good(head)

    # --- small steps

    @property
    def busy(self) -> list[tuple[int, str]]:
        """Which worker runs which job."""
        return [(number, job) for number, hand in enumerate(self.hands) for job in hand.running]

    def one(self, chance: Random, fits: Callable[[Told], bool] = lambda _: True) -> Told | None:
        found = [told for told in self.jobs.values() if fits(told)]
        return chance.choice(found) if found else None

    def mishap(self, chance: Random) -> Fault:
        """What the next commit and the next token meet: mostly nothing."""
        self.stage.bag.fate = chance.choice(list(Fate)) if chance.random() < 0.3 else Fate.TAKES
        return chance.choice([*Fault, Fault.LOST]) if chance.random() < 0.6 else Fault.NONE

    async def _born(self) -> Hand:
        self._births += 1
        hand = Hand(self.stage, f"worker-{self._births:06}", self._started)
        await self.stage.ledger.store.beat(hand.lease, {})
        return hand

    async def _started(self, head: Head) -> None:
        current = await self.stage.ledger.head(head.id)
        mine = current.state is JobState.RUNNING and current.claim == head.claim
        assert mine, "a tool was started that is not to run, or not here"
        self.jobs[head.id].starts.append(head.claims)

    async def bury(self, number: int) -> None:
        self.hands[number].die()
        self.hands[number] = await self._born()

    async def work(self, number: int, work: Coroutine[Any, Any, None], fault: Fault) -> None:
        if await self._survive(work):
            assert fault in DEADLY
            await self.bury(number)

    async def _survive(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Whether the process died of it. A store that is away is the caller's to ask again."""
        try:
            await work
        except DiedError:
            return True
        except StoreUnreachableError:
            return False
        finally:
            self.stage.bag.fate = Fate.TAKES
        return False
