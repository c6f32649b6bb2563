"""What may happen in a life of the ledger. Each happening takes its choices from one `Random`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from random import Random

from common.jobs.change import Note
from common.jobs.token import decode_token
from common.jobs.transitions import LEASE_MS
from tests.support.ledger import open_ledger
from tests.support.rehearsal import A_WHILE, INGRESS, JOBS, OUTCOMES, WORKERS, Rehearsal
from tests.support.stage import Fault, Hand, ended_for_good


class Life(Rehearsal):
    async def happen(self, chance: Random) -> None:
        """One thing, by chance; ordinary ones more often."""
        happenings: list[tuple[int, Callable[[Random], Awaitable[None]]]] = [
            (2 * (len(self.jobs) < JOBS), self._submits),
            (1, self._submits_again),
            (1 * (chance.random() < 0.5), self._is_cancelled),
            (2, self._is_answered),
            (14 * bool(self.stage.bag.tokens), self._is_delivered),
            (1 * bool(self.stage.bag.tokens), self._is_dropped),
            (9 * bool(self.busy), self._ends),
            (1 * bool(self.busy), self._progresses),
            (2, self._worker_dies),
            (3, self._worker_is_cut_off),
            (1, self._restarts),
            (5, self._is_looked_at),
            (2, self._grows_older),
        ]
        weights = [weight for weight, _ in happenings]
        [(_, happening)] = chance.choices(happenings, weights)
        await happening(chance)

    # --- callers

    async def _submits(self, chance: Random) -> None:
        told = self.new(chance.random() < 0.5, held=chance.random() < 0.3)
        await self.submit(told, self.mishap(chance))

    async def _submits_again(self, chance: Random) -> None:
        """A client repeats a call with its idempotency key, whatever became of the first."""
        if told := self.one(chance, lambda told: told.kept):
            await self.submit(told, self.mishap(chance))

    async def _is_cancelled(self, chance: Random) -> None:
        if told := self.one(chance):
            await self.stage.cancel(told.job)

    async def _is_answered(self, chance: Random) -> None:
        if told := self.one(chance, lambda told: told.kept):
            await self.answer(told, self.mishap(chance))

    # --- tokens and workers

    async def _is_delivered(self, chance: Random) -> None:
        """Any token, so also a late one; perhaps it stays, and comes once more."""
        parcel = chance.choice(self.stage.bag.tokens)
        if chance.random() < 0.7:
            self.stage.bag.tokens.remove(parcel)
        if chance.random() < 0.7:
            await self.stage.time_passes(decode_token(parcel.raw).job, LEASE_MS // 2)
        fault, number = self.mishap(chance), chance.randrange(WORKERS)
        await self.work(number, self.hands[number].take(replace(parcel), fault), fault)

    async def _is_dropped(self, chance: Random) -> None:
        self.stage.bag.tokens.remove(chance.choice(self.stage.bag.tokens))

    async def _ends(self, chance: Random) -> None:
        number, job = chance.choice(self.busy)
        outcome = self.outcome(number, job, chance.choice(OUTCOMES))
        fault = self.mishap(chance)
        await self.work(number, self.hands[number].finish(job, outcome, fault), fault)

    async def _progresses(self, chance: Random) -> None:
        number, job = chance.choice(self.busy)
        claims = self.hands[number].running[job].head.claims
        note = Note(claim=claims, fields={"progress": f"[{claims},null,null]"})
        if await self.stage.ledger.store.note(job, note):
            assert (await self.stage.ledger.head(job)).claims == claims

    # --- what fails, and who looks

    async def _worker_dies(self, chance: Random) -> None:
        """Its parent sees it and releases the lease; or nobody does, for now."""
        number = chance.randrange(WORKERS)
        lease = self.hands[number].lease
        await self.bury(number)
        if chance.random() < 0.7:
            await self.stage.ledger.store.release(lease)

    async def _worker_is_cut_off(self, chance: Random) -> None:
        """Its lease is gone while it lives, and goes on; somebody may look at what it runs."""
        hand = chance.choice([hand for hand in self.hands if hand.running] or self.hands)
        await self.stage.ledger.store.release(hand.lease)
        for job in sorted(hand.running):
            if chance.random() < 0.7:
                await self.stage.seize(hand.lease, job)
                await self._is_taken_over(
                    job, next(each for each in self.hands if each is not hand)
                )
                if chance.random() < 0.5:
                    outcome = self.outcome(self.hands.index(hand), job, "answered")
                    await hand.finish(job, outcome, Fault.NONE)

    async def _is_taken_over(self, job: str, hand: Hand) -> None:
        tokens = self.stage.bag.tokens
        for parcel in [each for each in tokens if decode_token(each.raw).job == job]:
            tokens.remove(parcel)
            await hand.take(parcel, Fault.NONE)

    async def _restarts(self, chance: Random) -> None:
        """The ingress that held some calls, or the store."""
        if chance.random() < 0.5:
            await self.stage.ledger.store.release(INGRESS)
            return
        await self._opened.aclose()
        ledger = await self._opened.enter_async_context(open_ledger(*self._where))
        self.stage.ledger = ledger

    async def _is_looked_at(self, chance: Random) -> None:
        """What has ended is removed then: only so is its retention over."""
        also_ended = chance.random() < 0.2
        told = self.one(chance)
        head = None if told is None else await self.stage.ledger.store.get(told.job)
        if told is not None and head is not None and (also_ended or not ended_for_good(head)):
            self.mishap(chance)
            await self.stage.look_at(told.job)
            told.kept &= not ended_for_good(head)

    async def _grows_older(self, chance: Random) -> None:
        if told := self.one(chance):
            await self.stage.time_passes(told.job, chance.choice([LEASE_MS // 2, A_WHILE]))


@asynccontextmanager
async def live_on(url: str, namespace: str) -> AsyncIterator[Life]:
    async with AsyncExitStack() as opened:
        life = Life(url, namespace, opened)
        await life.begin()
        yield life
