"""Calling: what one run says to its backend. One request, unless the backend asks back.

A backend of 2026-07-28 ends the call with questions and keeps nothing: the next run, here or on
another worker, calls again with the answers and the backend's own state. One that made a task of
its own of the call is not called again: the next run follows that task.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from common.backoff import Backoff
from common.errors import StoreUnreachableError
from common.jobs.answers import answer_foregone
from common.jobs.checkpoint import resuming
from common.jobs.files import OUTBOX_META
from common.jobs.questions import (
    Answer,
    Round,
    all_known,
    answered_before,
    next_round,
    responses,
)
from common.runtime import Runtime
from common.values import value_type
from workers import outcome as ended
from workers.backends.base import (
    LOG_LEVEL,
    BackendError,
    Call,
    ConnectionLost,
    InputRequired,
    Listener,
    NotStarted,
    Overloaded,
    Place,
    ProtocolFailure,
    StateRefused,
)
from workers.outcome import Answered, Asked, CutOff, NotReached
from workers.runs import Run
from workers.settlement import ours

log = structlog.get_logger(__name__)

CANCEL_LIMIT = 5.0  # seconds for a backend to hear that its task is wanted no longer
FIRST_PAUSE = 0.05  # seconds before a call goes on that asked nobody anything
LONGEST_PAUSE = 0.25  # seconds


@value_type(frozen=True, slots=True)
class Leg:
    """One request: what it brings beside the arguments."""

    responses: Mapping[str, Answer] | None = None  # by the backend's keys
    state: str | None = None


class Calling:
    def __init__(self, runtime: Runtime, run: Run, place: Place, listener: Listener) -> None:
        self._runtime = runtime
        self._run = run
        self._place = place
        self._listener = listener
        self._asked = run.asked
        self._news = False  # the backend has said something that the record does not have
        self._began_anew = False
        self._spare: Mapping[str, Mapping[str, Any]] = {}  # answers for a tool that began anew

    async def __call__(self) -> Answered | Asked | NotReached | ended.Overloaded | CutOff:
        """How the call ended; legs that need nobody follow each other.

        Raises:
            BackendError: As `Place.call`.
        """
        backoff = Backoff(first=FIRST_PAUSE, limit=LONGEST_PAUSE)
        leg = _resumed(self._asked)
        while True:
            self._run.sign_of_life()
            try:
                return Answered(await self._place.call(self._call(leg), self._listener))
            except NotStarted as error:
                return NotReached(error.message, self._asked if self._news else None)
            except Overloaded as error:
                reached = self._asked if self._news else None
                return ended.Overloaded(error.message, error.retry_after, reached)
            except ConnectionLost as error:
                if not self._run.task:
                    raise
                why = f"its backend was lost and may go on with it: {error.message}"
                return CutOff(why, self._asked if self._news else None, error.retry_after)
            except StateRefused as error:
                leg = self._anew(error)
            except InputRequired as said:
                asked = self._hear(said)
                if not asked.complete:
                    return Asked(asked)
                await self._runtime.clock.sleep(backoff.next())
                leg = _resumed(asked)

    async def cancel_task(self) -> None:
        """The run was ended from here: so is the backend's task, unless it is another's by now."""
        head = self._run.head
        if not self._run.task:
            return
        try:
            current = await self._runtime.store.get(head.id)
            if current is not None and ours(head, current):
                async with asyncio.timeout(CANCEL_LIMIT):
                    await self._place.cancel_task(self._call(Leg()))
        except (BackendError, StoreUnreachableError, TimeoutError) as error:
            log.warning("backend.task_left", job_id=head.id, error=str(error))

    def _hear(self, said: InputRequired) -> Round:
        asked = next_round(
            self._asked,
            said.requests,
            state=said.request_state,
            capabilities=self._run.call.client_capabilities,
            now=round(self._runtime.clock.now() * 1000),
            task=self._run.task,
        )
        asked = answered_before(asked, self._spare)
        asked = answer_foregone(asked, self._run.head.spec.default_answer)
        # Each only once, or a tool that asks for ever would be answered for ever.
        used = responses(asked)
        self._spare = {key: each for key, each in self._spare.items() if key not in used}
        self._asked, self._news = asked, True
        return asked

    def _anew(self, error: StateRefused) -> Leg:
        """The first round once more, with what is known; only for a tool that may begin twice."""
        if self._asked is None or self._began_anew or not self._run.head.spec.repeatable:
            why = f"the backend does not take the state of its question back: {error.message}"
            raise ProtocolFailure(error.code, why, error.data) from error
        self._began_anew = True
        self._spare = all_known(self._asked)
        known = {key: each["answer"] for key, each in self._spare.items()}
        return Leg(responses=known)

    def _call(self, leg: Leg) -> Call:
        call, task = self._run.call, self._run.task
        return Call(
            tool=self._run.head.spec.backend_tool,
            arguments=call.arguments,
            meta=_meta(self._run),
            client_capabilities=call.client_capabilities,
            log_level=call.log_level or LOG_LEVEL,
            input_responses=_known_to(task, self._asked) if task else leg.responses,
            request_state=None if task else leg.state,
            task=task or None,
        )


def _meta(run: Run) -> Mapping[str, Any]:
    """The caller's, and what a cooperative tool is told."""
    meta = resuming(run.call.meta, run.checkpoint)
    return meta if run.outbox is None else {**meta, OUTBOX_META: str(run.outbox)}


def _known_to(task: str, asked: Round | None) -> Mapping[str, Answer]:
    """Every answer to a question of this task, by the backend's keys."""
    if asked is None or asked.task != task:
        return {}
    return {key: each["answer"] for key, each in all_known(asked).items()}


def _resumed(asked: Round | None) -> Leg:
    """Where the tool goes on: at its newest questions, or at the beginning."""
    if asked is None or asked.held or not asked.complete:
        return Leg()
    return Leg(responses=responses(asked) or None, state=asked.request_state)
