"""Interview: a question that comes in mid-call, over a connection that waits for the reply.

The record first: the job is parked, its delivery released; whoever answers stores that first, and
this worker, which keeps the claim, hands it to the backend.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from common.backoff import Backoff
from common.errors import UNANSWERED, StoreUnreachableError
from common.jobs.answers import answer_foregone, refusal_of
from common.jobs.asking import ask_owned
from common.jobs.change import Change, Done
from common.jobs.entrusting import entrust
from common.jobs.head import Head
from common.jobs.questions import QUESTIONS, Round, decode_round, next_round
from common.jobs.state import JobState
from common.ledger import ContendedError, transact
from common.runtime import Runtime
from workers.backends.base import ProtocolFailure
from workers.relay import Relay
from workers.runs import Run
from workers.settlement import ours

log = structlog.get_logger(__name__)

LOOK = 10.0  # seconds between two looks at the record, should a hint be lost
KEY = "q"  # one question is a round


class Interview:
    """The `Listener` of one run: what it says goes to the relay, what it asks to the record."""

    def __init__(self, runtime: Runtime, run: Run, relay: Relay) -> None:
        self._runtime = runtime
        self._run = run
        self._relay = relay
        self._turn = asyncio.Lock()  # one question of a call at a time

    def progress(self, value: float, total: float | None, message: str | None) -> None:
        self._relay.progress(value, total, message)

    def output(self, text: str) -> None:
        self._relay.output(text)

    def checkpoint(self, said: object) -> None:
        self._relay.checkpoint(said)

    def log(self, params: Mapping[str, Any]) -> None:
        self._relay.log(params)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Listener.ask`."""
        # What the connection says to itself (progress tokens) means nothing to who is asked.
        shown = {name: value for name, value in params.items() if name != "_meta"}
        async with self._turn:
            asked = next_round(
                self._run.asked,
                {KEY: {"method": method, "params": shown}},
                state=None,
                capabilities=self._run.call.client_capabilities,
                now=round(self._runtime.clock.now() * 1000),
                held=True,
            )
            asked = answer_foregone(asked, self._run.head.spec.default_answer)
            self._run.asked = asked
            answered = asked if asked.complete else await self._put(asked)
        (answer,) = answered.answers.values()
        refusal = refusal_of(answer)
        if refusal is not None:
            raise ProtocolFailure(answer["error"].get("code", UNANSWERED), refusal)
        return answer

    async def _put(self, asked: Round) -> Round:
        """The round with its answer; until then the job is parked, and its clocks stand still."""
        with self._run.pause():
            await self._store(asked)
            await self._run.park()
            return await self._answered(asked)

    async def entrusted(self, task: str) -> None:
        """See `Listener.entrusted`. Once the record says so the job survives this worker."""
        run = self._run
        run.task = task

        def decide(head: Head) -> Change | None:
            running = ours(run.head, head) and head.state is JobState.RUNNING
            return entrust(head, task) if running else None

        run.entrusted = await self._commit(decide, "t")
        log.info("job.entrusted", job_id=run.head.id, stored=run.entrusted)

    async def _store(self, asked: Round) -> None:
        def decide(head: Head) -> Change | None:
            if not ours(self._run.head, head) or head.terminal:
                return None
            return ask_owned(head, asked, head.spec.answer_ms)

        if not await self._commit(decide, f"q{asked.number}"):
            raise ProtocolFailure(UNANSWERED, "the call has ended for its caller")
        log.info("job.asked", job_id=self._run.head.id, round=asked.number)

    async def _commit(self, decide: Callable[[Head], Change | None], name: str) -> bool:
        """Whether it was carried out, as soon as that is known."""
        head, backoff = self._run.head, Backoff(first=0.2, limit=5.0)
        while True:
            try:
                done = await transact(
                    self._runtime.store, head.id, decide, commit_id=f"{head.claims}:{name}"
                )
            except (StoreUnreachableError, ContendedError) as error:
                log.warning("job.unsaid", job_id=head.id, error=str(error))
                await self._runtime.clock.sleep(backoff.next())
            else:
                return isinstance(done, Done)

    async def _answered(self, asked: Round) -> Round:
        """The round with its answer, as soon as it is stored."""
        run = self._run
        while True:
            run.news.clear()
            try:
                head = await self._runtime.store.get(run.head.id)
                if head is None or not ours(run.head, head) or head.terminal:
                    raise ProtocolFailure(UNANSWERED, "the call has ended for its caller")
                if head.state is JobState.RUNNING:
                    return await self._read(asked)
            except StoreUnreachableError:
                log.debug("job.answer_unread", job_id=run.head.id)
            await self._wait()

    async def _read(self, asked: Round) -> Round:
        raw = await self._runtime.store.part(self._run.head.id, QUESTIONS)
        found = None if raw is None else decode_round(raw)
        if found is None or found.number != asked.number or not found.complete:
            raise ProtocolFailure(UNANSWERED, "the question was withdrawn")
        return found

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK):
                await self._run.news.wait()
        except TimeoutError:
            return
