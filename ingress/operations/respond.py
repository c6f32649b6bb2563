"""Respond: answers to what a tool asked. Stored first; then the job goes on, wherever that is."""

from collections.abc import Mapping
from typing import Any

from common.answering import open_round, store_answers
from common.errors import InvalidAnswerError
from common.jobs.answers import problem_of
from common.jobs.head import Head
from common.jobs.questions import Round, merge_answers, open_requests
from common.runtime import Runtime
from ingress.caller import Caller
from ingress.operations.read import Read


class Respond:
    def __init__(self, runtime: Runtime, read: Read) -> None:
        self._runtime = runtime
        self._read = read

    async def answer(
        self, job: str, answers: Mapping[str, Any], caller: Caller, *, operator: bool = False
    ) -> Head:
        """Store answers by the keys that were shown; the record afterwards.

        Unknown keys, and what is answered already, are passed over. Over the faces for people
        (`operator`) also questions of a kind that the caller has not declared can be answered, and
        an operator's key answers for others.

        Raises:
            NotFoundError: Unknown, expired, or somebody else's job: the same for all.
            InvalidAnswerError: An answer does not fit its question; nothing was stored.
            StoreUnreachableError, ContendedError: Nobody knows; it may be repeated.
        """
        asking = caller if operator else caller.over_mcp
        head = await self._read.head(job, asking)
        asked = await open_round(self._runtime, head)
        if asked is None:
            return head
        for key, request in open_requests(asked, operator=operator).items():
            problem = problem_of(request, answers[key]) if key in answers else None
            if problem is not None:
                raise InvalidAnswerError(f"the answer to {key} does not fit: {problem}")
        return await store_answers(
            self._runtime,
            head,
            # Keys are never used twice, so a newer round takes none of these.
            lambda current: merge_answers(current, answers, operator=operator),
        )

    async def open_round(self, head: Head) -> Round | None:
        """The questions that the job waits with; None when it does not."""
        return await open_round(self._runtime, head)
