"""`/v1/dead-letters` over a real server and both kinds of store; the test itself is the worker."""

import asyncio
from base64 import b64decode
from typing import Any

import pytest

from common.jobs.endings import bury, complete, lose
from common.jobs.ids import new_job_id
from common.jobs.state import JobState
from common.jobs.transitions import CALL, claim, retry
from common.poison import bury_raw
from common.wire import load_json
from ingress.caller import Caller
from ingress.operations.letters import Wanted
from tests.support.surfaces import WORKER, Surface
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

GONE = {"code": -31_002, "message": "the backend went away"}
FULL = {"code": -32_603, "message": "disk 7 is full"}
LETTERS = "/v1/dead-letters"


async def died(rest: Surface, error: dict[str, Any] = GONE, **more: Any) -> str:
    job = str((await rest.submit(**more))["id"])
    await rest.commit(job, bury(await rest.start(job), error, rest.retention))
    return job


async def lost(rest: Surface) -> str:
    job = str((await rest.submit())["id"])
    head = await rest.start(job)
    await rest.commit(job, lose(head, "its worker died", rest.retention, seen_gone=False))
    return job


async def unread(rest: Surface, raw: bytes = b'{"v":') -> str:
    await bury_raw(rest.runtime, "b", raw, "not a token")
    (letter,) = await listed(rest, error="not a token")
    return str(letter["id"])


async def listed(rest: Surface, **query: Any) -> Any:
    response = await rest.http.get(LETTERS, params=query)
    assert response.status_code == 200, response.text
    return response.json()["letters"]


async def replayed(rest: Surface, letter: str, **body: Any) -> Any:
    return await rest.http.post(f"{LETTERS}/{letter}/replay", json=body)


async def replayed_all(rest: Surface, **body: Any) -> Any:
    response = await rest.http.post(f"{LETTERS}/replay", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def replays_of(rest: Surface, letter: str) -> list[str]:
    jobs = (await rest.http.get("/v1/jobs", params={"limit": 500})).json()["jobs"]
    return [job["id"] for job in jobs if job["replay_of"] == letter]


async def test_a_letter_tells_what_why_and_every_try(anywhere: Surface) -> None:
    job = str((await anywhere.submit(rows=9))["id"])
    await anywhere.commit(job, retry(await anywhere.start(job), 0, GONE))
    await anywhere.commit(job, claim(WORKER))
    await anywhere.commit(job, bury(await anywhere.head(job), FULL, anywhere.retention))
    shown = (await anywhere.http.get(f"{LETTERS}/{job}")).json()
    assert (shown["kind"], shown["tool"], shown["error"]) == ("dead", "b__export", FULL["message"])
    assert (shown["arguments"], shown["job_error"]["code"]) == ({"rows": 9}, FULL["code"])
    assert (shown["tries"], shown["attempts"], shown["repeatable_from"]) == (2, 3, "default")
    assert shown["history_complete"] is True
    first, second = shown["history"]
    assert (first["worker"], first["ended"], first["error"]["message"]) == (
        WORKER,
        "retried",
        GONE["message"],
    )
    assert (second["worker"], second["ended"], second["why"]) == (WORKER, "dead", FULL["message"])
    assert first["started_at"] <= first["ended_at"] <= second["started_at"] <= second["ended_at"]


async def test_letters_are_listed_filtered_and_paged(anywhere: Surface) -> None:
    jobs = [await died(anywhere) for _ in range(3)]
    jobs.insert(1, await lost(anywhere))
    jobs.append(await died(anywhere, FULL))
    ended = [(await anywhere.head(job)).finished_at for job in jobs]
    newest = [job for _, job in sorted(zip(ended, jobs, strict=True), reverse=True)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await anywhere.http.get(LETTERS, params=query)).json()
        found += [letter["id"] for letter in page["letters"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert found == newest
    assert [each["id"] for each in await listed(anywhere, state="lost")] == [jobs[1]]
    assert [each["id"] for each in await listed(anywhere, error="IS FULL")] == [jobs[4]]
    assert await listed(anywhere, tool="b__other") == []
    assert len(await listed(anywhere, tool="b__export", caller="local")) == 5
    assert await listed(anywhere, caller="nobody") == []
    middle = (await listed(anywhere, error="is full"))[0]["died_at"]
    assert jobs[4] in [each["id"] for each in await listed(anywhere, since=middle)]
    assert jobs[4] not in [each["id"] for each in await listed(anywhere, until=middle)]
    assert [len(await listed(anywhere, since=ago)) for ago in ("1h", "0s")] == [5, 0]


async def test_letters_are_grouped_by_what_they_died_of(anywhere: Surface) -> None:
    """Numbers and ids make no other error; the kind does."""
    for number in (7, 8, 12):
        await died(anywhere, FULL | {"message": f"disk {number} is full (job 0a1b2c3d4e)"})
    other = await lost(anywhere)
    body = (await anywhere.http.get(LETTERS, params={"group": "error"})).json()
    assert body["complete"] is True
    full, unknown = body["groups"]
    assert (full["count"], full["kind"], full["tool"]) == (3, "dead", "b__export")
    assert full["error"] == "disk 12 is full (job 0a1b2c3d4e)"
    assert (unknown["count"], unknown["kind"], unknown["letters"]) == (1, "lost", [other])


async def test_a_replay_is_a_new_job_and_only_one(anywhere: Surface) -> None:
    letter = await died(anywhere, rows=5, priority=7)
    first = await replayed(anywhere, letter)
    assert first.status_code == 202
    job = first.json()["job"]
    assert first.headers["location"] == f"/v1/jobs/{job}"
    again = await replayed(anywhere, letter)
    assert (again.status_code, again.json()["job"], again.json()["new"]) == (200, job, False)
    assert await replays_of(anywhere, letter) == [job]
    shown = (await anywhere.http.get(f"/v1/jobs/{job}")).json()
    assert (shown["state"], shown["priority"], shown["caller"]) == ("queued", 7, "local")
    raw = await anywhere.runtime.store.part(job, CALL)
    assert raw is not None
    assert load_json(raw)["arguments"] == {"rows": 5}
    assert (await anywhere.http.get(f"/v1/jobs/{letter}")).json()["replayed_as"] == job
    assert await listed(anywhere) == []
    assert [each["replayed_as"] for each in await listed(anywhere, replayed=True)] == [job]


async def test_two_operators_at_once_make_one_replay(anywhere: Surface) -> None:
    letter = await died(anywhere)
    answers = await asyncio.gather(*(replayed(anywhere, letter) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len({answer.json()["job"] for answer in answers}) == 1
    assert len(await replays_of(anywhere, letter)) == 1


async def test_edited_arguments_are_held_against_the_schema(anywhere: Surface) -> None:
    letter = await died(anywhere)
    wrong = await replayed(anywhere, letter, arguments={"rows": "many"})
    assert (wrong.status_code, wrong.json()["type"]) == (
        422,
        "urn:longhaul:error:invalid-arguments",
    )
    assert await replays_of(anywhere, letter) == []
    job = (await replayed(anywhere, letter, arguments={"rows": 1})).json()["job"]
    raw = await anywhere.runtime.store.part(job, CALL)
    assert raw is not None
    assert load_json(raw)["arguments"] == {"rows": 1}


async def test_a_lost_job_is_replayed_only_by_who_says_so(anywhere: Surface) -> None:
    letter = await lost(anywhere)
    refused = await replayed(anywhere, letter)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:longhaul:error:may-have-run")
    body = await replayed_all(anywhere, all=True)
    assert "may have run" in body["letters"][0]["refused"]
    assert await replays_of(anywhere, letter) == []
    assert (await replayed(anywhere, letter, lost=True)).status_code == 202


async def test_a_token_without_a_job_is_shown_and_dropped(anywhere: Surface) -> None:
    raw = b'\x00\xff{"v":'
    letter = await unread(anywhere, raw)
    shown = (await anywhere.http.get(f"{LETTERS}/{letter}")).json()
    assert (shown["kind"], shown["tool"], shown["queue"]) == ("token", None, "b")
    assert b64decode(shown["raw"]) == raw
    refused = await replayed(anywhere, letter, lost=True)
    assert refused.json()["type"] == "urn:longhaul:error:not-replayable"
    assert (await anywhere.http.delete(f"{LETTERS}/{letter}")).status_code == 200
    assert await listed(anywhere) == []


async def test_what_is_dropped_is_gone(anywhere: Surface) -> None:
    letter, other = await died(anywhere), await died(anywhere)
    dropped = await anywhere.http.delete(f"{LETTERS}/{letter}")
    assert dropped.json()["error"] == GONE["message"]
    for path in (f"{LETTERS}/{letter}", f"/v1/jobs/{letter}"):
        assert (await anywhere.http.get(path)).status_code == 404
    assert (await anywhere.http.delete(f"{LETTERS}/{letter}")).status_code == 404
    assert (await replayed(anywhere, letter)).status_code == 404
    assert [each["id"] for each in await listed(anywhere)] == [other]


async def test_all_that_match_are_replayed_once(anywhere: Surface) -> None:
    full = [await died(anywhere, FULL) for _ in range(3)]
    other = await died(anywhere)
    wanted = {"all": True, "tool": "b__export", "error": "is full"}
    dry = await replayed_all(anywhere, dry_run=True, **wanted)
    assert {each["id"] for each in dry["letters"]} == set(full)
    assert [each["job"] for each in dry["letters"]] == [None] * 3
    assert await listed(anywhere, replayed=True) == []
    did = await replayed_all(anywhere, **wanted)
    assert {each["id"] for each in did["letters"] if each["new"]} == set(full)
    assert did["cursor"] is None
    assert (await replayed_all(anywhere, **wanted))["letters"] == []
    assert [each["id"] for each in await listed(anywhere)] == [other]
    for letter in full:
        assert len(await replays_of(anywhere, letter)) == 1


async def test_of_many_ids_each_is_its_own_case(anywhere: Surface) -> None:
    letter, gone, unknown = await died(anywhere), await lost(anywhere), new_job_id(1)
    body = await replayed_all(anywhere, ids=[letter, letter, gone, unknown])
    came_of = {each["id"]: each for each in body["letters"]}
    assert came_of[letter]["new"]
    assert "may have run" in came_of[gone]["refused"]
    assert came_of[unknown]["refused"] == f"no dead letter {unknown}"
    assert [each["missing"] for each in (came_of[gone], came_of[unknown])] == [False, True]
    assert len(await replays_of(anywhere, letter)) == 1


@pytest.mark.parametrize(
    "body", [{}, {"all": True, "ids": []}, {"tool": "b__export"}, {"all": True, "odd": 1}]
)
async def test_everything_is_replayed_only_when_that_is_said(
    anywhere: Surface, body: dict[str, Any]
) -> None:
    await died(anywhere)
    response = await anywhere.http.post(f"{LETTERS}/replay", json=body)
    assert response.json()["type"] == "urn:longhaul:error:invalid-request"
    assert len(await listed(anywhere)) == 1


async def test_a_tool_that_nobody_offers_is_not_replayed(anywhere: Surface) -> None:
    letter = await died(anywhere)
    await anywhere.runtime.store.forget("b")
    await until(lambda: "b__export" not in anywhere.ingress.feed.current.tools)
    response = await replayed(anywhere, letter)
    assert response.json()["type"] == "urn:longhaul:error:refused"
    assert "nobody offers b__export" in response.json()["detail"]
    assert len(await listed(anywhere)) == 1


async def test_what_is_no_letter_is_not_found(anywhere: Surface) -> None:
    job = str((await anywhere.submit())["id"])
    head = await anywhere.start(job)
    await anywhere.commit(job, complete(head, b"{}", anywhere.retention, tool_error=False))
    for letter in (job, "nope", new_job_id(1)):
        assert (await anywhere.http.get(f"{LETTERS}/{letter}")).status_code == 404
        assert (await replayed(anywhere, letter)).status_code == 404
        assert (await anywhere.http.delete(f"{LETTERS}/{letter}")).status_code == 404
    assert (await anywhere.head(job)).state is JobState.COMPLETED


async def test_letters_are_their_callers_and_the_operators(anywhere: Surface) -> None:
    letter = await died(anywhere)
    other, owner = Caller(name="other"), Caller(name="local")
    letters = anywhere.ingress.dead_letters
    wanted = Wanted()
    assert (await letters.list(other, wanted, limit=9)).heads == []
    assert [head.id for head in (await letters.list(owner, wanted, limit=9)).heads] == [letter]
    groups, _ = await letters.groups(other, wanted)
    assert groups == []


async def test_metrics_count_the_letters_that_wait(anywhere: Surface) -> None:
    letter, _, _ = await died(anywhere), await lost(anywhere), await unread(anywhere)
    assert "longhaul_dead_letters_waiting 3.0" in await metrics(anywhere)
    assert 'longhaul_dead_letters_total{reason="buried"} 1.0' in await metrics(anywhere)
    await replayed(anywhere, letter)
    assert "longhaul_dead_letters_waiting 2.0" in await metrics(anywhere)


async def metrics(rest: Surface) -> str:
    return (await rest.http.get("/metrics")).text
