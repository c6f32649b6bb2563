"""Questions for a handshake-era client: requests to it, on the stream of a request of its own.

Whoever asks does not wait: an answer is stored as soon as it comes, also after the request was
answered with the job's id, and the job goes on by itself.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types
import structlog
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from pydantic import RootModel, ValidationError

from common.backoff import Backoff
from common.errors import InvalidAnswerError, NotFoundError, StoreUnreachableError
from common.jobs.head import Head
from common.jobs.questions import ELICITATION, SAMPLING, Answer, Request, Round, open_requests
from common.jobs.state import JobState
from common.ledger import ContendedError
from common.tasks import cancel_and_join
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.declared import Context
from ingress.mcp.exchange import Exchange, exchange_of

log = structlog.get_logger(__name__)

RELATED_TASK = "io.modelcontextprotocol/related-task"
CANCELLED: Answer = {"action": "cancel"}

Place = tuple[str, str, int]  # session, job, number of the round


class Question(types.Request[dict[str, Any], str]):
    """What the tool asks, its params verbatim."""

    method: str


class Reply(RootModel[dict[str, Any]]):
    """What the client said, verbatim."""


class Asking:
    def __init__(self, ingress: Ingress) -> None:
        self._clock = ingress.runtime.clock
        self._store = ingress.runtime.store
        self._follower = ingress.follower
        self._respond = ingress.respond
        self._under_way: dict[Place, tuple[Exchange, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, ctx: Context, head: Head, asked: Round, *, as_task: bool = False) -> None:
        """Ask what is open for the caller, unless that is under way in this session.

        Who has lost the connection that the question went out on is asked anew.
        """
        exchange = exchange_of(ctx)
        place = (exchange.session_id or "", head.id, asked.number)
        if place in self._under_way:
            earlier, task = self._under_way[place]
            if not earlier.gone:
                return
            task.cancel()
        related = head.id if as_task else None
        task = asyncio.create_task(self._round(ctx, head, asked, exchange.caller, related))
        self._under_way[place] = (exchange, task)
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, place))

    def _over(self, place: Place, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._under_way.get(place, (None, None))[1] is task:
            del self._under_way[place]

    async def aclose(self) -> None:
        """What was asked stays open: the client is asked again when it comes again."""
        await cancel_and_join(*self._tasks)

    async def _round(
        self, ctx: Context, head: Head, asked: Round, caller: Caller, related: str | None
    ) -> None:
        """Until everything is answered, by whomever, or an answer would come too late."""
        asks = [
            asyncio.create_task(self._one(ctx, head.id, key, request, caller, related))
            for key, request in open_requests(asked).items()
        ]
        moved_on = asyncio.create_task(self._moved_on(head.id))
        left = head.answer_by / 1000 - self._clock.now()
        waiting = {moved_on, *asks}
        try:
            async with asyncio.timeout(max(0.0, left)):
                while moved_on in waiting and len(waiting) > 1:
                    _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            log.info("question.too_late", job_id=head.id)
        finally:
            for task in (*asks, moved_on):
                task.cancel()
            for error in await asyncio.gather(*asks, moved_on, return_exceptions=True):
                if isinstance(error, Exception):
                    log.error("question.failed", job_id=head.id, exc_info=error)

    async def _moved_on(self, job: str) -> None:
        """Until the job does not wait for answers any more, whatever the store does."""
        backoff = _patiently()
        while True:
            try:
                await self._heard_to_move(job)
            except StoreUnreachableError:
                await self._clock.sleep(backoff.next())
            else:
                return

    async def _heard_to_move(self, job: str) -> None:
        async with self._follower.follow(job, everything=True) as watch:
            head = await self._store.get(job)
            while head is not None and head.state is JobState.INPUT_REQUIRED:
                hint = await watch.next(None)
                if hint is not None and hint.kind == "state":
                    head = await self._store.get(job)

    async def _one(
        self,
        ctx: Context,
        job: str,
        key: str,
        request: Request,
        caller: Caller,
        related: str | None,
    ) -> None:
        params = _params(request, f"{job}.{key}", related)
        question: Any = Question(method=request["method"], params=params)
        metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
        try:
            reply = await ctx.session.send_request(question, Reply, metadata=metadata)
            answer: Answer = reply.root
        except NoBackChannelError:
            return  # its request is over: it is asked when it comes again
        except MCPError as error:
            if error.error.code == types.CONNECTION_CLOSED:
                return
            answer = _refusal(request, error.error)
        except ValidationError:
            answer = _refusal(request, _invalid("the reply is not an object"))
        await self._store_answer(job, key, request, answer, caller)

    async def _store_answer(
        self, job: str, key: str, request: Request, answer: Answer, caller: Caller
    ) -> None:
        """A user who took the trouble to answer is not asked again because the store is away."""
        log.info("question.answered", job_id=job, kind=request["method"])
        backoff = _patiently()
        while True:
            try:
                await self._respond.answer(job, {key: answer}, caller)
            except InvalidAnswerError:  # what it says is the user's own
                log.info("question.answer_unfit", job_id=job)
                answer = _refusal(request, _invalid("the answer does not fit"))
            except (StoreUnreachableError, ContendedError) as error:
                log.warning("question.answer_delayed", job_id=job, error=str(error))
                await self._clock.sleep(backoff.next())
            except NotFoundError:
                return  # the job is gone
            else:
                return


def _params(request: Request, name: str, related: str | None) -> dict[str, Any]:
    """What is asked, verbatim, and what only the older protocols want said."""
    params = dict(request.get("params") or {})
    if request["method"] == ELICITATION and params.get("mode") == "url":
        params.setdefault("elicitationId", name)  # 2026-07-28 has none, 2025-11-25 refuses that
    if related is not None:
        params["_meta"] = {**(params.get("_meta") or {}), RELATED_TASK: {"taskId": related}}
    return params


def _patiently() -> Backoff:
    return Backoff(first=0.2, limit=5.0)


def _invalid(message: str) -> types.ErrorData:
    return types.ErrorData(code=types.INVALID_PARAMS, message=message)


def _refusal(request: Request, error: types.ErrorData) -> Mapping[str, Any]:
    """What a tool is told when its client answered with an error."""
    match request["method"]:
        case method if method == ELICITATION:
            return CANCELLED
        case method if method == SAMPLING:
            return {"error": {"code": error.code, "message": error.message}}
        case _:
            return {"roots": []}
