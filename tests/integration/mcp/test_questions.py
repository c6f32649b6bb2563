"""Questions of tools reach their callers, in each era's own way, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import CreateMessageResult, ElicitResult, ListRootsResult, TextContent

from common.config.model import Answering
from common.jobs.state import JobState
from ingress.caller import Caller
from tests.support.routers import Router, router
from tests.support.tasks import EXTENSION, TaskClient
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]
PATIENT = Answering(call_wait=20.0, inline_wait=20.0)
ASKED: dict[str, Any] = {"elicitation": {"form": {}}}
ANN = {"action": "accept", "content": {"name": "Ann"}}
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}


@pytest.fixture
async def longhaul(asking_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, asking_url, answering=PATIENT) as running:
        yield running


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    return {"log": str(tmp_path / "legs.log")}


def client_of(longhaul: Router, http: httpx2.AsyncClient, **more: Any) -> TaskClient:
    return TaskClient(http, longhaul.url, **({"declared": ASKED} | more))


def text_of(result: dict[str, Any]) -> str:
    text: str = result["content"][0]["text"]
    return text


@pytest.mark.parametrize("mode", MODES)
async def test_an_official_client_is_asked_and_answers(
    longhaul: Router, arguments: dict[str, Any], mode: Any
) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> ElicitResult:
        del context
        asked.append(params.message)
        content: Any = {"name": "Ann"} if "name?" in params.message else {"colour": "red"}
        return ElicitResult(action="accept", content=content)

    async with Client(longhaul.url, mode=mode, elicitation_callback=answer) as client:
        result = await client.call_tool("rounds", arguments)
    assert result.model_dump()["content"][0]["text"] == "Ann likes red"
    assert asked == ["What is your name?", "And your colour, Ann?"]
    assert (await longhaul.only_job()).state is JobState.COMPLETED


@pytest.mark.parametrize("mode", MODES)
async def test_an_official_client_is_asked_for_whatever_it_can_do(
    longhaul: Router, mode: Any
) -> None:
    async def user(context: Any, params: Any) -> ElicitResult:
        del context
        if params.mode == "url":
            assert params.url == "https://sign.test/in"
            return ElicitResult(action="accept")
        return ElicitResult(action="accept", content={"name": "Ann"})

    async def model(context: Any, params: Any) -> CreateMessageResult:
        del context
        assert params.max_tokens == 10
        return CreateMessageResult(role="assistant", content=TextContent(text="once"), model="m")

    async def folders(context: Any) -> ListRootsResult:
        del context
        return ListRootsResult.model_validate({"roots": [{"uri": "file:///data"}]})

    async with Client(
        longhaul.url,
        mode=mode,
        elicitation_callback=user,
        sampling_callback=model,
        list_roots_callback=folders,
    ) as client:
        surveyed = (await client.call_tool("survey", {})).model_dump()
        assert text_of(surveyed) == "Ann: once in file:///data"
        assert text_of((await client.call_tool("visit", {})).model_dump()) == "accepted"


async def test_a_way_back_leads_its_own_caller_to_its_own_call_once(
    asking_url: str, http: httpx2.AsyncClient, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    async with router(tmp_path, asking_url, answering=PATIENT, listen=KEYS) as longhaul:
        ann, bob = (
            client_of(longhaul, http, headers={"x-api-key": f"key-of-{name}"})
            for name in ("ann", "bob")
        )
        asked = await ann.call("greet", arguments)
        assert asked["resultType"] == "input_required"
        (key,) = asked["inputRequests"]
        again = {"inputResponses": {key: ANN}, "requestState": asked["requestState"]}
        other = {"log": arguments["log"] + "2"}
        state = asked["requestState"]
        for who, tool, given, changed in [
            (bob, "greet", arguments, {}),
            (ann, "greet", other, {}),
            (ann, "rounds", arguments, {}),
            (ann, "greet", arguments, {"requestState": state[:-2] + "AA"}),
            (ann, "greet", arguments, {"requestState": "nonsense"}),
        ]:
            answer = await who.request("tools/call", tool=tool, arguments=given, **again | changed)
            assert answer["error"]["code"] == -32602, (tool, given, changed)
        assert text_of(await ann.call("greet", arguments, **again)) == "hello Ann"
        used = await ann.request("tools/call", tool="greet", arguments=arguments, **again)
        assert used["error"]["code"] == -32602
        assert len(await longhaul.jobs()) == 1


async def test_an_answer_that_does_not_fit_is_asked_for_again(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = client_of(longhaul, http)
    asked = await client.call("greet", arguments)
    (key,) = asked["inputRequests"]
    for bad in ({}, {"unknown": ANN}, {key: {"action": "accept", "content": {"name": 7}}}):
        state = asked["requestState"]
        asked = await client.call("greet", arguments, inputResponses=bad, requestState=state)
        assert list(asked["inputRequests"]) == [key]
        assert asked["requestState"] != state
    state = asked["requestState"]
    result = await client.call("greet", arguments, inputResponses={key: ANN}, requestState=state)
    assert text_of(result) == "hello Ann"


async def test_answers_may_come_with_the_first_call(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = client_of(longhaul, http)
    (key,) = (await client.call("greet", arguments))["inputRequests"]
    answers = {key: ANN, "unknown": ANN}
    fresh = arguments | {"log": arguments["log"] + "2"}
    assert text_of(await client.call("greet", fresh, inputResponses=answers)) == "hello Ann"
    odd: Any
    for odd in (None, [], "x"):
        answer = await client.request(
            "tools/call", tool="greet", arguments=fresh, inputResponses=odd
        )
        assert answer["error"]["code"] == -32602


async def test_who_does_not_come_again_is_not_waited_for_for_ever(
    asking_url: str, http: httpx2.AsyncClient, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    rule = {"greet": {"questions": {"deadline": 0.5}}}
    async with router(tmp_path, asking_url, answering=PATIENT, tools=rule) as longhaul:
        await client_of(longhaul, http).call("greet", arguments)
        await longhaul.until_state(JobState.CANCELLED, JobState.COMPLETED)


async def test_what_a_caller_has_not_declared_is_an_operators_question(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    task = TaskClient(http, longhaul.url, declared={"extensions": {EXTENSION: {}}})
    created = await task.call("blunt", arguments, meta={"longhaul/wait": 0})
    await longhaul.until_state(JobState.INPUT_REQUIRED)
    shown = await task.get(created["taskId"])
    assert (shown["status"], shown["statusMessage"]) == ("working", "it waits for an operator")
    assert "inputRequests" not in shown
    head = await longhaul.only_job()
    asked = await longhaul.ingress.respond.open_round(head)
    assert asked is not None
    answers = {key: {"action": "accept", "content": {"ok": True}} for key in asked.requests}
    await longhaul.ingress.respond.answer(head.id, answers, Caller(name="local"), operator=True)
    assert "accept" in text_of((await task.until(head.id))["result"])


async def test_who_waits_for_a_job_that_an_operator_must_answer_is_held(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = client_of(longhaul, http, declared={})
    handed = await client.call("blunt", arguments, meta={"longhaul/wait": 0})
    job = handed["_meta"]["longhaul/job"]["id"]
    head = await longhaul.until_state(JobState.INPUT_REQUIRED)
    waits = asyncio.create_task(client.call("longhaul_wait", {"ids": [job]}))
    await until(lambda: longhaul.ingress.follower.following)
    asked = await longhaul.ingress.respond.open_round(head)
    assert asked is not None
    answers = {key: {"action": "accept", "content": {"ok": True}} for key in asked.requests}
    await longhaul.ingress.respond.answer(job, answers, Caller(name="local"), operator=True)
    assert "accept" in text_of(await waits)


async def test_a_task_shows_its_questions_and_takes_answers_in_parts(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    declared: dict[str, Any] = {
        "elicitation": {},
        "sampling": {},
        "roots": {},
        "extensions": {EXTENSION: {}},
    }
    client = TaskClient(http, longhaul.url, declared=declared)
    task = (await client.call("survey"))["taskId"]
    shown = await client.until(task, "input_required")
    requests = shown["inputRequests"]
    by_kind = {request["method"]: key for key, request in requests.items()}
    answers = {
        by_kind["elicitation/create"]: ANN,
        by_kind["sampling/createMessage"]: {
            "role": "assistant",
            "content": {"type": "text", "text": "once"},
            "model": "m",
        },
        by_kind["roots/list"]: {"roots": [{"uri": "file:///a"}]},
    }
    unfit = {by_kind["elicitation/create"]: {"action": "perhaps"}}
    refused = await client.request("tasks/update", taskId=task, inputResponses=unfit)
    assert refused["error"]["code"] == -32602
    assert set((await client.get(task))["inputRequests"]) == set(requests)
    for key, answer in answers.items():
        given = {key: answer, "unknown": {}}
        acknowledged = await client.request("tasks/update", taskId=task, inputResponses=given)
        assert acknowledged["result"]["resultType"] == "complete"
        assert key not in (await client.get(task)).get("inputRequests", {})
    done = await client.until(task)
    assert "Ann" in text_of(done["result"])
    late = await client.request("tasks/update", taskId=task, inputResponses=answers)
    assert late["result"]["resultType"] == "complete"
    assert await client.get(task) == done


async def test_after_its_questions_a_call_may_become_a_task(
    asking_url: str, http: httpx2.AsyncClient, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    rule = {"greet": {"task": "after_input"}}
    async with router(tmp_path, asking_url, answering=PATIENT, tools=rule) as longhaul:
        declared = ASKED | {"extensions": {EXTENSION: {}}}
        client = TaskClient(http, longhaul.url, declared=declared)
        asked = await client.call("greet", arguments)
        assert "taskId" not in asked
        (key,) = asked["inputRequests"]
        again = {"inputResponses": {key: ANN}, "requestState": asked["requestState"]}
        created = await client.call("greet", arguments, **again)
        assert created["resultType"] == "task"
        assert not created.keys() & {"requestState", "inputRequests"}
        assert text_of((await client.until(created["taskId"]))["result"]) == "hello Ann"


async def test_the_same_call_comes_for_a_question_after_a_hand_off(
    asking_url: str, http: httpx2.AsyncClient, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    """A client without tasks whose call was handed off before its tool asked."""
    async with router(tmp_path, asking_url, answering=PATIENT, slots=1) as longhaul:
        client = client_of(longhaul, http)
        handed = await client.call("greet", arguments, meta={"longhaul/wait": 0})
        job = handed["_meta"]["longhaul/job"]["id"]
        await longhaul.until_state(JobState.INPUT_REQUIRED)
        asked = await client.call("greet", arguments)
        assert asked["_meta"]["longhaul/job"] == {"id": job, "attached": True}
        (key,) = asked["inputRequests"]
        again = {"inputResponses": {key: ANN}, "requestState": asked["requestState"]}
        assert text_of(await client.call("greet", arguments, **again)) == "hello Ann"
        assert len(await longhaul.jobs()) == 1
