"""Answering: store answers to a tool's questions, then let the job go on. The record first.

The return to the queue of a job that was parked on a question; used by whoever answers, and by the
reconciler when nobody did in time.
"""

from collections.abc import Callable

import structlog

from common.jobs.answers import answer_instead
from common.jobs.asking import conclude
from common.jobs.change import Done
from common.jobs.head import Head
from common.jobs.questions import QUESTIONS, Round, decode_round
from common.jobs.state import JobState
from common.ledger import ROUNDS, ContendedError
from common.publishing import publish_token, token_of
from common.runtime import Runtime

log = structlog.get_logger(__name__)


async def open_round(runtime: Runtime, head: Head) -> Round | None:
    """The questions that the job waits with; None when it does not.

    It may be newer than the head: whoever answers it commits at the head's version.
    """
    if head.state is not JobState.INPUT_REQUIRED:
        return None
    raw = await runtime.store.part(head.id, QUESTIONS)
    return None if raw is None else decode_round(raw)


async def store_answers(
    runtime: Runtime, head: Head, merge: Callable[[Round], Round], *, too_late: bool = False
) -> Head:
    """The record with what `merge` adds to its open round; as it stands where that is nothing.

    Raises:
        ContendedError: The record kept moving.
        StoreUnreachableError: Nobody knows; it may be repeated.
    """
    current: Head | None = head
    for _ in range(ROUNDS):
        asked = None if current is None else await open_round(runtime, current)
        if current is None or asked is None:
            return current or head
        merged = merge(asked)
        if merged == asked:
            return current
        change = conclude(current, merged, runtime.retention, too_late=too_late)
        done = await runtime.store.commit(current.id, change, version=current.version)
        if isinstance(done, Done):
            after: Head = done.head
            log.info("job.answered", job_id=head.id, round=asked.number, state=str(after.state))
            await _wake(runtime, after)
            return after
        if done.guard not in {"version", "missing"}:
            return current
        current = done.head
    raise ContendedError(f"job {head.id} kept moving")


async def answer_in_their_stead(runtime: Runtime, head: Head) -> None:
    """Time is over: the operator's default answer, else no."""
    default = head.spec.default_answer
    await store_answers(runtime, head, lambda asked: answer_instead(asked, default), too_late=True)


async def _wake(runtime: Runtime, head: Head) -> None:
    """A worker that waits was told by the commit; where none does, any may go on."""
    if head.state is JobState.QUEUED:
        token = token_of(head, generation=head.generation, version=head.version)
        await publish_token(runtime, head, token)
