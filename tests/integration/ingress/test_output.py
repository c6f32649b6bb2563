"""A job's output over HTTP: by pages and live, resumable wherever it was cut, own jobs only."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import orjson
import pytest

from common.jobs.change import Note
from common.jobs.endings import complete
from common.jobs.head import Head
from common.jobs.output import OUTPUT_ENTRIES, Appended, encode_message, encode_text
from common.notifier.hints import JobHint, encode_hint
from tests.support.event_streams import Told, listening
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

RESULT = orjson.dumps({"content": []})
MARKS = count()


async def say(rest: Surface, head: Head, *texts: str) -> None:
    """As a worker does it: appended, and whoever watches is told."""
    entries = tuple(entry for text in texts for entry in encode_text(text))
    hint = JobHint(kind="progress", job=head.id, state="running", body=[1, None, None])
    said = Appended(mark=f"{head.claims}.{next(MARKS)}", entries=entries)
    note = Note(claim=head.claims, relay=(encode_hint(hint),), output=said)
    assert await rest.runtime.store.note(head.id, note)


async def done(rest: Surface, job: str) -> None:
    head = await rest.head(job)
    await rest.commit(job, complete(head, RESULT, rest.retention, tool_error=False))


async def started(rest: Surface) -> Head:
    return await rest.start((await rest.submit())["id"])


def texts(told: list[Told]) -> list[str]:
    return [event.data["text"] for event in told if event.name == "output"]


async def test_pages_by_a_cursor(anywhere: Surface) -> None:
    head = await started(anywhere)
    path = f"/v1/jobs/{head.id}/output"
    empty = (await anywhere.http.get(path)).json()
    assert empty == {"entries": [], "cursor": "0", "dropped": 0, "more": False, "ended": False}
    line = encode_message("log", "a line", "info")
    note = Note(claim=head.claims, output=Appended(mark="the line", entries=(line,)))
    assert await anywhere.runtime.store.note(head.id, note)
    await say(anywhere, head, "a", "b")
    first = (await anywhere.http.get(path, params={"limit": 2})).json()
    assert (first["cursor"], first["more"]) == ("2", True)
    assert first["entries"][0].pop("at").endswith("Z")
    assert first["entries"][0] == {
        "number": 1,
        "tried": 1,
        "kind": "log",
        "text": "a line",
        "level": "info",
        "logger": None,
    }
    rest = (await anywhere.http.get(path, params={"from": first["cursor"]})).json()
    assert [entry["text"] for entry in rest["entries"]] == ["b"]
    assert (rest["cursor"], rest["more"], rest["ended"]) == ("3", False, False)
    await done(anywhere, head.id)
    end = (await anywhere.http.get(path, params={"from": "3"})).json()
    assert (end["entries"], end["cursor"], end["ended"]) == ([], "3", True)


async def test_a_cursor_past_the_drop_says_how_many_are_missing(anywhere: Surface) -> None:
    head = await started(anywhere)
    await say(anywhere, head, "first")
    for batch in range(2):
        await say(anywhere, head, *[f"{batch}"] * (OUTPUT_ENTRIES // 2))
    path = f"/v1/jobs/{head.id}/output"
    page = (await anywhere.http.get(path, params={"limit": 1})).json()
    assert (page["dropped"], page["entries"][0]["number"], page["cursor"]) == (1, 2, "2")
    again = (await anywhere.http.get(path, params={"from": 2, "limit": 1})).json()
    assert (again["dropped"], again["entries"][0]["number"]) == (0, 3)
    await done(anywhere, head.id)
    async with listening(anywhere.http, head.id, of="output") as events:
        told = [event async for event in events]
    assert (told[0].name, told[0].data) == ("dropped", {"dropped": 1})
    assert [int(event.id) for event in told[1:-1]] == list(range(2, OUTPUT_ENTRIES + 2))
    assert told[-1].name == "end"


async def test_a_cursor_of_no_such_number_begins_anew(anywhere: Surface) -> None:
    """A store that lost its last second gives numbers a second time."""
    head = await started(anywhere)
    await say(anywhere, head, "a")
    page = (await anywhere.http.get(f"/v1/jobs/{head.id}/output", params={"from": 9})).json()
    assert (page["cursor"], len(page["entries"])) == ("1", 1)


async def test_two_readers_cut_off_again_and_again_have_each_entry_once(anywhere: Surface) -> None:
    head = await started(anywhere)
    expected = [f"piece {number}" for number in range(120)]

    async def speak() -> None:
        for at in range(0, len(expected), 4):
            await say(anywhere, head, *expected[at : at + 4])
        await done(anywhere, head.id)

    async def follow(cut_after: int) -> list[Told]:
        told: list[Told] = []
        last = ""
        while not told or told[-1].name != "end":
            async with listening(anywhere.http, head.id, after=last, of="output") as events:
                heard = 0
                async for event in events:
                    told.append(event)
                    last, heard = event.id, heard + 1
                    if heard == cut_after:
                        break
        return told

    _, *readers = await asyncio.gather(speak(), follow(7), follow(31))
    for told in readers:
        assert texts(told) == expected
        assert told[-1].data["state"] == "completed"


async def test_what_is_no_cursor_is_refused(anywhere: Surface) -> None:
    head = await started(anywhere)
    for cursor in ("x", "-1", "1.5", "1" * 40):
        answer = await anywhere.http.get(f"/v1/jobs/{head.id}/output", params={"from": cursor})
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:longhaul:error:malformed")


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    listen = {"api_keys": [{"key": "root-key", "caller": "root"}]}
    async with surface(tmp_path, headers={"x-api-key": "root-key"}, listen=listen) as made:
        yield made


async def test_another_callers_job_has_no_output_for_anybody(rest: Surface) -> None:
    made = [
        (await rest.http.post("/v1/keys", json={"name": name})).json() for name in ("ann", "bob")
    ]
    ann, bob = ({"x-api-key": each["key"]} for each in made)
    await until_answered(lambda: answers(rest, ann, bob))
    body = {"tool": "b__export", "arguments": {"rows": 3}}
    job = (await rest.http.post("/v1/jobs", json=body, headers=ann)).json()["id"]
    await say(rest, await rest.start(job), "a secret")
    path = f"/v1/jobs/{job}/output"
    assert "a secret" in (await rest.http.get(path, headers=ann)).text
    for accept in ("application/json", "text/event-stream"):
        foreign = await rest.http.get(path, headers={**bob, "accept": accept})
        assert foreign.status_code == 404
        assert "a secret" not in foreign.text


async def answers(rest: Surface, *keys: dict[str, str]) -> bool:
    said = [(await rest.http.get("/v1/jobs", headers=key)).status_code for key in keys]
    return said == [200] * len(keys)
