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
from common.errors import BACKEND_GONE, TIMED_OUT, StoreUnreachableError
from common.jobs.asking import ask, kept, start_over
from common.jobs.change import Change, Done, Now, Refused
from common.jobs.endings import RetentionMs, bury, complete, fail, let_go, lose
from common.jobs.head import Head
from common.jobs.questions import Round
from common.jobs.state import JobState
from common.jobs.transitions import hand_back, retry
from common.ledger import ContendedError, transact
from common.publishing import publish_token, token_of
from common.runtime import Runtime
from common.wire import dump_json
from workers import outcome as ended
from workers.outcome import Outcome

log = structlog.get_logger(__name__)

HAND_BACK_MS = 1_000
_FINISHES = (ended.Answered, ended.Refused)  # what the tool itself said


def decide(outcome: Outcome, head: Head, retention: RetentionMs, chance: float) -> Change:
    """The transition that follows from an outcome. Pure; `chance` is in 0..1, for the jitter."""
    match outcome:
        case ended.Answered(result=result):
            tool_error = result.get("isError") is True
            return complete(head, dump_json(result), retention, tool_error=tool_error)
        case ended.Refused(error=error):
            return fail(head, error, retention)
        case ended.Asked(questions=questions):
            return ask(head, questions, head.spec.answer_ms)
        case ended.NotReached(why=why, reached=reached) | ended.Drained(why=why, reached=reached):
            return _back(head, why, reached)
        case ended.CutOff(why=why, reached=reached) if head.backend_task:
            return _back(head, why, reached)
        case ended.CutOff(why=why) | ended.Vanished(why=why):
            if not head.spec.repeatable:
                return lose(head, why, retention, seen_gone=False)
            return _again(head, {"code": BACKEND_GONE, "message": why}, retention, chance)
        case ended.TimedOut(clock=clock, seconds=seconds):
            error = {"code": TIMED_OUT, "message": f"{_CLOCKS[clock]} ({seconds:g} s)"}
            if clock == "deadline" or not head.spec.repeatable:
                return fail(head, error, retention)
            return _again(head, error, retention, chance)
        case ended.Stopped():
            return fail(head, {"code": TIMED_OUT, "message": "it was stopped"}, retention)
        case unreachable:
            assert_never(unreachable)


def _back(head: Head, why: str, reached: Round | None) -> Change:
    back = hand_back(head, why, HAND_BACK_MS)
    return back if reached is None else replace(back, parts=kept(reached))


_CLOCKS = {
    "idle": "the tool gave no sign of life in its idle time",
    "run": "the tool ran longer than its maximum run time",
    "deadline": "the job's deadline passed",
}


def _again(head: Head, error: Mapping[str, Any], retention: RetentionMs, chance: float) -> Change:
    """The next try, after exponential backoff with full jitter; a dead letter past the limit."""
    if head.tries >= head.spec.attempts:
        return bury(head, error, retention)
    ceiling = min(head.spec.retry_max_ms, head.spec.retry_first_ms << min(head.tries - 1, 20))
    if head.state is JobState.INPUT_REQUIRED:
        return start_over(head, str(error["message"]), round(ceiling * chance))
    return retry(head, round(ceiling * chance), error)


class Settlement:
    def __init__(self, runtime: Runtime, lease: str) -> None:
        self._runtime = runtime
        self._lease = lease
        self._random = random.Random()

    async def settle(self, head: Head, outcome: Outcome) -> None:
        """Store what follows, then publish what must run again.

        Waits for as long as the store is away: the result is only here. A claim that is no longer
        ours settles nothing; the result is dropped then, and the log says so.
        """
        chance = self._random.random()
        chosen: tuple[Head, Change] | None = None

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
                change = decide(outcome, current, self._runtime.retention, chance)
            chosen = current, change
            return change

        answer = await self._commit(head, choose)
        if chosen is None or not isinstance(answer, Done):
            log.warning("job.fenced", job_id=head.id, claim=head.claims)
            return
        log.info(
            "job.settled", job_id=head.id, outcome=type(outcome).__name__, change=chosen[1].name
        )
        self._runtime.metrics.settled.labels(tool=head.tool, state=chosen[1].name).inc()
        await self._publish_again(*chosen, answer)

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
