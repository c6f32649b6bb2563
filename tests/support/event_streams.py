"""A client of the REST interface's event streams, that can be cut off at any event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from workers.backends.sse import EventParser


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    name: str
    id: str  # the newest of the stream so far, as a browser sends it when it comes back
    data: Any


@asynccontextmanager
async def listening(
    http: httpx2.AsyncClient, job: str, *, after: str = "", of: str = "events", **query: Any
) -> AsyncIterator[AsyncIterator[Told]]:
    headers = {"accept": "text/event-stream"} | ({"last-event-id": after} if after else {})
    path = f"/v1/jobs/{job}/{of}"
    async with http.stream("GET", path, headers=headers, params=query) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _events(response, after)


async def _events(response: httpx2.Response, after: str) -> AsyncIterator[Told]:
    parser = EventParser()
    async for chunk in response.aiter_bytes():
        for event in parser.feed(chunk):
            if event.data:
                yield Told(
                    name=event.name,
                    id=event.last_id or after,
                    data=orjson.loads(event.data),
                )


async def whole(http: httpx2.AsyncClient, job: str, *, after: str = "", **query: Any) -> list[Told]:
    """Everything, of a job that has ended or soon will."""
    async with listening(http, job, after=after, **query) as events:
        return [event async for event in events]


async def until_told(events: AsyncIterator[Told], name: str) -> Told:
    async for event in events:
        if event.name == name:
            return event
    raise AssertionError(f"the stream ended without {name}")
