"""A row's turn: it becomes a job, or is refused by its line. Done twice, it is done once."""

from dataclasses import replace

from common.blobs.calls import put_apart
from common.errors import InvalidCallError, LonghaulError, RefusedError
from common.jobs.batch import Plan, refuse
from common.jobs.change import Done, Refused, Window
from common.jobs.head import Head
from common.jobs.held import creation
from common.jobs.ids import row_id
from common.jobs.rows import entering
from common.jobs.state import JobState
from common.jobs.token import Token, ToolRef
from common.jobs.transitions import Submission
from common.routing.rules import Rules
from common.runtime import Runtime
from ingress.batches.documents import BrokenRowError, Row, arguments_of, named_by_line
from ingress.operations.call_request import Accepted, CallRequest, submission_of
from ingress.operations.submit import Submit


class MakeRow:
    def __init__(self, runtime: Runtime, rules: Rules, submit: Submit) -> None:
        self._runtime = runtime
        self._rules = rules
        self._submit = submit

    async def __call__(self, batch: Head, plan: Plan, row: Row) -> None:
        """Its record is there when this returns, or the batch runs no more.

        Raises:
            NotFoundError: Nobody offers the tool now.
            RefusedError: The queue is full; later there may be room.
            StoreUnreachableError: Nobody knows; it may be repeated.
        """
        self._submit.tool(batch.tool)
        try:
            request = _request(batch, plan, row)
            self._submit.check(request)
        except (BrokenRowError, InvalidCallError) as error:
            await self._refuse(batch, row, error)
            return
        accepted = self._accepted(batch, row, request)
        queue = accepted.policy.queue
        submission = await self._submission(batch, request, accepted)
        answer = await self._create(
            batch, submission, accepted.job, self._submit.window.limit(queue)
        )
        held = isinstance(answer, Refused) and answer.guard == Window.__name__
        if held:  # as many of its rows wait at the broker as may
            answer = await self._create(batch, submission, accepted.job, None)
        if isinstance(answer, Done):
            self._runtime.metrics.submissions.labels(tool=batch.tool).inc()
            if held:
                self._submit.window.kick(queue, batch.id, batch.tool)
            else:
                await self._submit.publish(accepted, _token(accepted, answer.version))
        elif answer.guard == "Room":
            raise RefusedError(f"queue {queue} is full", retry_after=5.0)

    def _accepted(self, batch: Head, row: Row, request: CallRequest) -> Accepted:
        tool = self._submit.tool(batch.tool)
        policy = self._rules.for_tool(tool.name, tool.backend, tool.backend_tool)
        return Accepted.of(row_id(batch.id, row.number), request, tool, policy)

    async def _submission(
        self, batch: Head, request: CallRequest, accepted: Accepted
    ) -> Submission:
        runtime = self._runtime
        limit = runtime.settings.inline_limit
        blob = await put_apart(runtime.blobs, accepted.job, request.arguments, limit)
        submission = submission_of(
            request, accepted, holder="", watcher="", arguments_blob=str(blob or "")
        )
        return replace(submission, window=batch.id)  # it takes nothing of its caller's own

    async def _create(
        self, batch: Head, submission: Submission, job: str, limit: int | None
    ) -> Done | Refused:
        now = round(self._runtime.clock.now() * 1000)
        guards = self._submit.admission(submission.queue)
        change = entering(creation(submission, None, now, guards, limit), batch.id)
        return await self._runtime.store.commit(job, change, version=0)

    async def _refuse(self, batch: Head, row: Row, error: LonghaulError) -> None:
        reason = str(error) if isinstance(error, BrokenRowError) else named_by_line(row, str(error))
        kept = self._runtime.retention.of(JobState.FAILED, answered=False)
        change = refuse(batch, row.number, reason, kept)
        answer = await self._runtime.store.commit(row_id(batch.id, row.number), change, version=0)
        if isinstance(answer, Done):
            self._runtime.metrics.rows_refused.inc()


def _request(batch: Head, plan: Plan, row: Row) -> CallRequest:
    return CallRequest(
        tool=batch.tool,
        arguments=arguments_of(row),
        caller=batch.caller,
        request_id=plan.request_id,
        priority=plan.priority,
    )


def _token(accepted: Accepted, version: int) -> Token:
    tool = accepted.tool
    ref = ToolRef(backend=tool.backend, tool=tool.backend_tool, version=tool.version)
    return Token(job=accepted.job, generation=1, version=version, tool=ref)
