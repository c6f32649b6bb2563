"""A job as server-sent events: the whole of it after each change, so that none must be kept."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import orjson
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from common.errors import LonghaulError
from ingress.api.job_view import show_job
from ingress.caller import Caller
from ingress.errors import body_of, problem_of
from ingress.ingress import Ingress

EVENT_STREAM = "text/event-stream"
KEEPALIVE = 15.0  # seconds without a change


def stream_of(ingress: Ingress, job: str, caller: Caller, request_id: str) -> StreamingResponse:
    """Events `job` (as `/v1/jobs/{id}` shows it), and `problem` when it cannot go on."""
    return StreamingResponse(
        _events(ingress, job, caller, request_id),
        media_type=EVENT_STREAM,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    ingress: Ingress, job: str, caller: Caller, request_id: str
) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(_shown(ingress, job, caller)) as events:
            async for event in events:
                yield event
    except LonghaulError as error:
        # The response has begun, so this is the place to say so.
        body = orjson.dumps(body_of(problem_of(error), request_id)).decode()
        yield format_sse_event(event="problem", data_str=body)


async def _shown(ingress: Ingress, job: str, caller: Caller) -> AsyncGenerator[bytes, None]:
    clock = ingress.runtime.clock
    last, told_at = "", clock.monotonic()
    async with aclosing(ingress.wait.changes(job, caller)) as heads:
        async for head in heads:
            shown = (await show_job(ingress, head)).model_dump_json()
            if shown != last:
                yield format_sse_event(event="job", data_str=shown)
            elif clock.monotonic() - told_at > KEEPALIVE:
                yield KEEPALIVE_COMMENT
            else:
                continue
            last, told_at = shown, clock.monotonic()
