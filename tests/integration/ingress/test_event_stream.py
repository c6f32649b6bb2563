"""The event stream of a job: complete, resumable wherever it was cut, live, and at an end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from typing_extensions import override

from common.jobs.change import Note
from common.jobs.endings import complete
from common.jobs.head import Head
from common.notifier.hints import JobHint, encode_hint
from common.store.base import EVENTS_KEPT
from ingress.api import event_stream
from ingress.caller import Caller
from ingress.operations import wait
from ingress.operations.read import Read
from ingress.operations.wait import Wait
from tests.support.event_streams import Told, listening, until_told, whole
from tests.support.ledger import touch
from tests.support.surfaces import WORKER, Surface, surface
from tests.support.system import Place
from tests.support.waiting import PATIENCE, until_answered

pytestmark = pytest.mark.anyio

RESULT = orjson.dumps({"content": [{"type": "text", "text": "done"}]})


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as made:
        yield made


async def progressed(rest: Surface, head: Head, value: int) -> None:
    """As a worker says it: noted, and relayed to who watches."""
    body = [value, 10, f"step {value}"]
    hint = JobHint(kind="progress", job=head.id, state="running", body=body)
    fields = {"progress": orjson.dumps(body).decode()}
    note = Note(fields=fields, claim=head.claims, relay=(encode_hint(hint),))
    assert await rest.runtime.store.note(head.id, note)


async def logged(rest: Surface, head: Head, text: str) -> None:
    line = {"level": "info", "data": text}
    hint = JobHint(kind="log", job=head.id, state="running", body=line)
    note = Note(claim=head.claims, relay=(encode_hint(hint),))
    assert await rest.runtime.store.note(head.id, note)


async def done(rest: Surface, job: str) -> None:
    head = await rest.head(job)
    await rest.commit(job, complete(head, RESULT, rest.retention, tool_error=False))


async def submitted(rest: Surface, changes: int = 0) -> str:
    """A job that was changed so many times."""
    job: str = (await rest.submit())["id"]
    for _ in range(changes):
        await rest.commit(job, touch())
    return job


def changes(told: list[Told]) -> list[tuple[int, str]]:
    return [(event.data["number"], event.data["name"]) for event in told if event.name == "change"]


async def test_a_stream_tells_everything_live_and_ends(anywhere: Surface) -> None:
    job = await submitted(anywhere)
    told: list[Told] = []
    async with listening(anywhere.http, job) as events:
        async for event in events:
            told.append(event)
            match event.name, event.data:
                case "job", {"state": "queued"} if len(told) == 2:
                    await anywhere.start(job)
                case "job", {"state": "running", "progress": None}:
                    await progressed(anywhere, await anywhere.head(job), 3)
                case "progress", _:
                    await done(anywhere, job)
                case _:
                    pass
    assert changes(told) == [(1, "submitted"), (2, "claimed"), (3, "completed")]
    assert [event.id for event in told if event.name == "change"] == ["1", "2", "3"]
    assert told[-3].data == {"value": 3, "total": 10, "message": "step 3"}
    names = [event.name for event in told if event.name != "job"]
    assert names == ["change", "change", "progress", "change", "end"]
    assert told[-1].data["result"] == orjson.loads(RESULT)
    claimed = next(event for event in told if event.data.get("name") == "claimed")
    assert claimed.data["facts"] == {"worker": WORKER}


async def test_it_is_taken_up_without_a_gap_wherever_it_was_cut(anywhere: Surface) -> None:
    job = await submitted(anywhere)

    async def live() -> None:
        for _ in range(30):
            await anywhere.commit(job, touch())
        await anywhere.start(job)
        await done(anywhere, job)

    living = asyncio.create_task(live())
    told: list[Told] = []
    last = ""
    while not told or told[-1].name != "end":
        async with listening(anywhere.http, job, after=last) as events:
            new = 0
            async for event in events:
                told.append(event)
                last = event.id
                new += event.name == "change"
                if new == 3:
                    break
    await living
    assert [number for number, _ in changes(told)] == list(range(1, 34))


class Busy(Read):
    """Its record moves on whenever the head has been read and the events have not."""

    def __init__(self, rest: Surface) -> None:
        super().__init__(rest.runtime)
        self._rest = rest

    @override
    async def head(self, job: str, caller: Caller) -> Head:
        head = await super().head(job, caller)
        match head.version:
            case 1:
                await self._rest.commit(job, touch())
            case 2:
                await self._rest.start(job)
            case 3:
                await done(self._rest, job)
        return head


async def test_what_happens_between_two_reads_is_told_once(rest: Surface) -> None:
    job = await submitted(rest)
    busy = Wait(rest.runtime, rest.ingress.follower, Busy(rest))
    moments = [moment async for moment in busy.story(job, Caller(name="local"))]
    assert [event.number for moment in moments for event in moment.events] == [1, 2, 3, 4]
    assert not any(moment.anew for moment in moments)
    assert moments[-1].head.terminal


async def test_another_replica_goes_on_where_one_stopped(distributed_place: Place) -> None:
    where = distributed_place.settings().model_dump(
        include={"broker_url", "store_url", "namespace"}
    )
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(surface(distributed_place.data, **where))
        other = await stack.enter_async_context(surface(distributed_place.data, **where))
        job = await submitted(one)
        async with listening(one.http, job) as events:
            first = await until_told(events, "change")
        await one.start(job)
        async with listening(other.http, job, after=first.id) as events:
            assert (await until_told(events, "change")).data["name"] == "claimed"
            await progressed(one, await one.head(job), 1)
            assert (await until_told(events, "progress")).data["value"] == 1
            await done(one, job)
            assert (await until_told(events, "end")).data["state"] == "completed"


async def test_what_is_kept_no_more_is_a_snapshot(anywhere: Surface) -> None:
    job = await submitted(anywhere, EVENTS_KEPT + 3)  # events 5 to 260 are kept
    last = str(EVENTS_KEPT + 4)
    for after in ("", "3", str(10**14)):
        async with listening(anywhere.http, job, after=after) as events:
            snapshot = await anext(events)
            assert (snapshot.name, snapshot.id) == ("snapshot", last)
            assert (snapshot.data["id"], snapshot.data["state"]) == (job, "queued")
    async with listening(anywhere.http, job, after="4") as events:
        assert (await anext(events)).data["number"] == 5
    async with listening(anywhere.http, job, after="3") as events:
        await until_told(events, "snapshot")
        await anywhere.commit(job, touch("after"))
        change = await until_told(events, "change")
        assert (change.data["name"], change.id) == ("after", str(EVENTS_KEPT + 5))


async def test_who_comes_back_after_the_end_is_told_the_end(rest: Surface) -> None:
    job = await submitted(rest)
    await rest.start(job)
    await done(rest, job)
    assert changes(await whole(rest.http, job, after="1")) == [(2, "claimed"), (3, "completed")]
    (end,) = await whole(rest.http, job, after="3")
    assert (end.name, end.data["result"]) == ("end", orjson.loads(RESULT))


async def test_log_lines_come_to_who_asks(rest: Surface) -> None:
    job = await submitted(rest)
    head = await rest.start(job)
    async with (
        listening(rest.http, job, logs=1) as asked,
        listening(rest.http, job) as others,
    ):
        for events in (asked, others):
            await until_told(events, "job")
        for text in ("one", "two", "three"):
            await logged(rest, head, text)
        lines = [(await until_told(asked, "log")).data for _ in range(3)]
        assert [line["data"] for line in lines] == ["one", "two", "three"]
        await done(rest, job)
        assert [event.name async for event in others] == ["change", "end"]


async def test_progress_is_told_once_and_how_it_stands_to_who_comes_late(rest: Surface) -> None:
    job = await submitted(rest)
    head = await rest.start(job)
    for value in range(5):
        await progressed(rest, head, value)
    async with listening(rest.http, job, after="2") as events:
        assert (await anext(events)).data["progress"]["value"] == 4
        await progressed(rest, head, 4)
        await progressed(rest, head, 5)
        told = await anext(events)
        assert (told.name, told.data["value"], told.id) == ("progress", 5, "2")


async def test_a_quiet_stream_shows_that_it_lives(
    rest: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert event_stream.KEEPALIVE == wait.QUIET == 15.0
    monkeypatch.setattr(event_stream, "KEEPALIVE", 0.1)
    monkeypatch.setattr(wait, "QUIET", 0.1)
    job = await submitted(rest)
    await rest.start(job)
    headers = {"accept": "text/event-stream"}
    async with rest.http.stream("GET", f"/v1/jobs/{job}/events", headers=headers) as stream:
        lines = stream.aiter_lines()
        comments = 0
        async for line in lines:
            comments += line.startswith(":")
            if comments == 3:
                break


async def test_a_hint_that_was_lost_delays_and_loses_nothing(
    rest: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "QUIET", 0.1)
    job = await submitted(rest)
    await rest.start(job)
    async with listening(rest.http, job, after="2") as events:
        await until_told(events, "job")
        await rest.runtime.store.note(job, Note(unwatch=rest.ingress.lease))
        await done(rest, job)
        assert (await until_told(events, "change")).data["name"] == "completed"


async def test_a_record_that_is_removed_ends_the_stream(
    rest: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "QUIET_IN_LINE", 0.1)
    job = await submitted(rest)
    async with listening(rest.http, job) as events:
        await until_told(events, "job")
        assert await rest.runtime.store.remove(job, version=1)
        problem = await until_told(events, "problem")
        assert problem.data["type"] == "urn:longhaul:error:not-found"
        assert [event async for event in events] == []


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 16, "²"])
async def test_an_id_that_is_none_is_refused(rest: Surface, last: str) -> None:
    job = await submitted(rest)
    headers = {b"accept": b"text/event-stream", b"last-event-id": last.encode()}
    response = await rest.http.get(f"/v1/jobs/{job}/events", headers=headers)
    assert response.status_code == 400
    assert response.json()["type"] == "urn:longhaul:error:malformed"


async def test_a_stream_of_no_job_is_a_problem(rest: Surface) -> None:
    headers = {"accept": "text/event-stream"}
    response = await rest.http.get(f"/v1/jobs/{'0' * 22}/events", headers=headers)
    assert response.status_code == 404
    assert response.json()["type"] == "urn:longhaul:error:not-found"


async def test_a_stopping_router_ends_the_stream_for_another_to_go_on(rest: Surface) -> None:
    job = await submitted(rest)
    stream = asyncio.create_task(whole(rest.http, job))

    async def followed() -> bool:
        return rest.ingress.lease in (await rest.head(job)).watchers.split(",")

    await until_answered(followed)
    rest.ingress.wait.stop()
    async with asyncio.timeout(PATIENCE):
        assert [event.name for event in await stream] == ["change", "job"]
