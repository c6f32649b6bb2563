"""A job as server-sent events: what its record keeps, each with a number, and how it stands.

`change` and `snapshot` have an id, after which a stream can go on without a gap. The others have
none: whoever comes back is told anew how the job stands.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import orjson
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from common.errors import LonghaulError
from common.wire import dump_json
from ingress.api.job_view import show_event, show_job
from ingress.api.shapes import Job
from ingress.caller import Caller
from ingress.errors import body_of, problem_of
from ingress.ingress import Ingress
from ingress.operations.wait import Moment

EVENT_STREAM = "text/event-stream"
KEEPALIVE = 15.0  # seconds without an event
_DIGITS = 15  # of the longest id
_ALWAYS_MOVING = {"progress", "reason"}  # of a job that runs


def number_of(last_event_id: str | None) -> int | None:
    """The event that the header `Last-Event-ID` names, 0 without one; None: it names none."""
    text = last_event_id or "0"
    named = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if named else None


def stream_of(
    ingress: Ingress, job: str, caller: Caller, request_id: str, *, after: int, logs: bool
) -> StreamingResponse:
    """What happens after this event, to the end; `problem` when it cannot go on."""
    moments = ingress.wait.story(job, caller, after=after, lines=logs)
    return server_sent(ingress, _telling(ingress, moments), request_id)


def server_sent(
    ingress: Ingress, told: AsyncGenerator[Iterator[bytes], None], request_id: str
) -> StreamingResponse:
    """These events, kept alive while there are none; `problem` when they cannot go on."""
    return StreamingResponse(
        _sent(ingress, told, request_id),
        media_type=EVENT_STREAM,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _telling(
    ingress: Ingress, moments: AsyncGenerator[Moment, None]
) -> AsyncGenerator[Iterator[bytes], None]:
    told = _Told()
    async with aclosing(moments):
        async for moment in moments:
            yield told.next(moment, await show_job(ingress, moment.head))


async def _sent(
    ingress: Ingress, told: AsyncGenerator[Iterator[bytes], None], request_id: str
) -> AsyncGenerator[bytes, None]:
    clock = ingress.runtime.clock
    told_at = clock.monotonic()
    try:
        async with aclosing(told):
            async for events in told:
                said = b"".join(events)
                if not said and clock.monotonic() - told_at < KEEPALIVE:
                    continue
                yield said or KEEPALIVE_COMMENT
                told_at = clock.monotonic()
    except LonghaulError as error:
        # The response has begun, so this is the place to say so.
        body = orjson.dumps(body_of(problem_of(error), request_id)).decode()
        yield format_sse_event(event="problem", data_str=body)


class _Told:
    """What the client knows of how the job stands."""

    def __init__(self) -> None:
        self._job: Job | None = None

    def next(self, moment: Moment, job: Job) -> Iterator[bytes]:
        before, self._job = self._job, job
        if moment.anew:
            number = str(moment.head.version)
            yield format_sse_event(event="snapshot", data_str=job.model_dump_json(), id=number)
            return
        for event in moment.events:
            data = show_event(event).model_dump_json()
            yield format_sse_event(event="change", data_str=data, id=str(event.number))
        for line in moment.lines:
            yield format_sse_event(event="log", data_str=dump_json(line).decode())
        if moment.head.terminal:
            yield format_sse_event(event="end", data_str=job.model_dump_json())
        elif before is None or moment.events or not _alike(before, job):
            yield format_sse_event(event="job", data_str=job.model_dump_json())
        elif job.progress is not None and job.progress != before.progress:
            yield format_sse_event(event="progress", data_str=job.progress.model_dump_json())


def _alike(one: Job, other: Job) -> bool:
    return one.model_dump(exclude=_ALWAYS_MOVING) == other.model_dump(exclude=_ALWAYS_MOVING)
