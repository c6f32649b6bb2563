"""Settlement: what becomes of a job once a run has ended. The only code that settles runs.

The record first, then the broker, then the ack: a crash in between leaves a token that the record
answers, or a due entry that publishes again. The other order would lose the result.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

import structlog

from common.backoff import Backoff
from common.errors import BACKEND_GONE, OVERLOADED, TIMED_OUT, StoreUnreachableError
from common.jobs.asking import ask
from common.jobs.change import Change, Done, Now, Refused
from common.jobs.endings import RetentionMs, complete, fail, let_go, lose
from common.jobs.head import Head
from common.jobs.state import TERMINAL, JobState
from common.ledger import ContendedError, transact
from common.publishing import publish_token, token_of
from common.runtime import Runtime
from common.wire import dump_json
from workers import measure
from workers import outcome as ended
from workers.keeping import keep
from workers.outbox import Outboxes
from workers.outcome import Failed, Outcome
from workers.retry_budget import Budgets, Draw
from workers.retrying import RETRIES, Terms, again, back, tool_failure

log = structlog.get_logger(__name__)

_FINISHES = (ended.Answered, ended.Refused)  # what the tool itself said


def decide(outcome: Outcome, head: Head, retention: RetentionMs, terms: Terms) -> Change:
    """The transition that follows from an outcome. Pure."""
    match outcome:
        case ended.Answered(result=result, files=files, apart=apart, raw=raw, tool_error=failed):
            if failed and head.spec.retry_tool_errors and head.spec.repeatable:
                return again(head, tool_failure(result), retention, terms)
            blob = "" if apart is None else str(apart.blob)
            raw = dump_json(result) if raw is None else raw
            return complete(head, raw, retention, tool_error=failed, blob=blob, files=files)
        case ended.Asked(questions=questions):
            return ask(head, questions, head.spec.answer_ms)
        case ended.NotReached(why=why, reached=reached) | ended.Drained(why=why, reached=reached):
            return back(head, why, terms, reached)
        case ended.NotReady(why=why):
            return back(head, why, terms)
        case ended.CutOff() | ended.Overloaded() if head.backend_task:
            # The tool was started, and goes on: only following it has to begin again.
            hint = replace(terms, retry_after=outcome.retry_after)
            return back(head, outcome.why, hint, outcome.reached)
        case ended.Stopped():
            return fail(head, {"code": TIMED_OUT, "message": "it was stopped"}, retention)
        case (
            ended.Refused()
            | ended.Overloaded()
            | ended.CutOff()
            | ended.Vanished()
            | ended.TimedOut()
        ):
            return _failed(outcome, head, retention, terms)
        case unreachable:
            assert_never(unreachable)


def _failed(outcome: Failed, head: Head, retention: RetentionMs, terms: Terms) -> Change:
    """Which faults count, and for which tools."""
    safe = head.spec.repeatable
    match outcome:
        case ended.Refused(error=error, retry_after=after):
            if not safe or after is None:
                return fail(head, error, retention)
            return again(head, error, retention, replace(terms, retry_after=after))
        case ended.Overloaded(why=why, retry_after=after, reached=reached):
            # It never ran: another try is no second run, whatever the tool is.
            error, terms = _gone(why, OVERLOADED), replace(terms, retry_after=after)
            return again(head, error, retention, terms, reached=reached)
        case ended.CutOff(why=why, retry_after=after) | ended.Vanished(why=why, retry_after=after):
            if not safe:
                return lose(head, why, retention, seen_gone=False)
            return again(head, _gone(why), retention, replace(terms, retry_after=after))
        case ended.TimedOut(clock=clock, seconds=seconds):
            error = {"code": TIMED_OUT, "message": f"{_CLOCKS[clock]} ({seconds:g} s)"}
            if clock == "deadline" or not safe:
                return fail(head, error, retention)
            return again(head, error, retention, terms)


def _gone(why: str, code: int = BACKEND_GONE) -> Mapping[str, Any]:
    return {"code": code, "message": why}


_CLOCKS = {
    "idle": "the tool gave no sign of life in its idle time",
    "run": "the tool ran longer than its maximum run time",
    "deadline": "the job's deadline passed",
}


class Settlement:
    def __init__(self, runtime: Runtime, lease: str, budgets: Budgets) -> None:
        self._runtime = runtime
        self._lease = lease
        self._budgets = budgets
        self._random = random.Random()
        self._outboxes = Outboxes(runtime)

    def called(self, head: Head) -> None:
        """A call of it was written to its backend."""
        self._budgets.of(head.spec.backend).called()

    async def settle(self, head: Head, outcome: Outcome) -> None:
        """Store what follows, then publish what must run again.

        Waits for as long as the store is away: the result is only here. A claim that is no longer
        ours settles nothing; the result is dropped then, and the log says so.
        """
        outcome = await self._kept(head, outcome)
        terms = Terms(chance=self._random.random())
        chosen: tuple[Head, Change] | None = None
        draw = Draw(self._budgets.of(head.spec.backend))

        def choose(current: Head) -> Change | None:
            nonlocal chosen
            chosen = None
            if not ours(head, current):
                return None
            if current.state is JobState.LOST and not isinstance(outcome, _FINISHES):
                return None  # still as unknown as it was
            if current.state is JobState.CANCELLED:
                change = let_go(current, self._runtime.retention)
            else:
                change = decide(outcome, current, self._runtime.retention, terms)
                if change.name in RETRIES and draw.take():
                    over = replace(terms, over=draw.over)
                    change = decide(outcome, current, self._runtime.retention, over)
            chosen = current, change
            return change

        answer = await self._commit(head, choose)
        draw.close(used=chosen is not None and chosen[1].name in RETRIES)
        if chosen is None or not isinstance(answer, Done):
            log.warning("job.fenced", job_id=head.id, claim=head.claims)
            return
        log.info(
            "job.settled", job_id=head.id, outcome=type(outcome).__name__, change=chosen[1].name
        )
        measure.count_settled(self._runtime.metrics, head, outcome, chosen[1], over=draw.over > 0)
        if chosen[1].fields.get("state", chosen[0].state) in TERMINAL:
            await self._outboxes.remove(head)
        await self._publish_again(*chosen, answer)

    async def _kept(self, head: Head, outcome: Outcome) -> Outcome:
        backoff = Backoff(first=0.2, limit=5.0)
        while True:
            try:
                return await keep(self._runtime, head, outcome, self._outboxes.of(head))
            except StoreUnreachableError as error:
                log.warning("result.not_kept", job_id=head.id, error=str(error))
                await self._runtime.clock.sleep(backoff.next())

    async def _commit(
        self, head: Head, choose: Callable[[Head], Change | None]
    ) -> Done | Refused | None:
        backoff = Backoff(first=0.2, limit=5.0)
        commit_id = f"{head.claims}:{self._lease[-6:]}"
        while True:
            try:
                return await transact(
                    self._runtime.store, head.id, choose, head=head, commit_id=commit_id
                )
            except (StoreUnreachableError, ContendedError) as error:
                log.warning("job.unsettled", job_id=head.id, error=str(error))
                await self._runtime.clock.sleep(backoff.next())

    async def _publish_again(self, head: Head, change: Change, done: Done) -> None:
        if change.name not in {"retried", "handed_back", "started_over"}:
            return
        delay = change.fields["not_before"]
        seconds = delay.after / 1000 if isinstance(delay, Now) else 0.0
        token = token_of(head, generation=head.generation + 1, version=done.version)
        await publish_token(self._runtime, head, token, seconds)


def ours(claimed: Head, current: Head) -> bool:
    """Nobody has claimed it since, and the run may still settle it; a late finish of a loss may."""
    if current.claims != claimed.claims:
        return False
    if current.state is JobState.CANCELLED:
        return current.still_running
    if current.state is JobState.INPUT_REQUIRED:
        return bool(current.owner)  # its question may still be open, its call is over all the same
    return current.state in {JobState.RUNNING, JobState.LOST}
