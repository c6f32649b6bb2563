"""Waiting for the end of a job on behalf of a request, as long as its client is there."""

import asyncio

from fastapi import Request

from common.jobs.head import Head
from common.tasks import cancel_and_join
from ingress.caller import Caller
from ingress.ingress import Ingress


async def head_at_end(
    ingress: Ingress, request: Request, job: str, caller: Caller, seconds: float
) -> Head:
    """The record at the end of the job, after so many seconds, or once the client has left.

    Nothing else reads the body of the request from here on.

    Raises:
        NotFoundError: No such job for this caller.
        StoreUnreachableError: It cannot be followed.
    """
    if seconds <= 0:
        return await ingress.read.head(job, caller)
    end = asyncio.create_task(ingress.wait.end(job, caller, seconds))
    gone = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait({end, gone}, return_when=asyncio.FIRST_COMPLETED)
        # A response to nobody is still a response.
        return end.result() if end.done() else await ingress.read.head(job, caller)
    finally:
        await cancel_and_join(end, gone)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
