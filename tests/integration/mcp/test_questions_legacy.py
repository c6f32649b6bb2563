"""Questions for handshake-era clients: requests on the stream of one of their own."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.config.model import Answering
from common.jobs.state import JobState
from ingress.caller import Caller
from tests.support.routers import LEGACY, LegacyClient, Router, router
from tests.support.streams import Stream
from tests.support.tasks import legacy_request
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

PATIENT = Answering(call_wait=20.0)
ANN = {"action": "accept", "content": {"name": "Ann"}}


@pytest.fixture
async def longhaul(asking_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, asking_url, answering=PATIENT) as running:
        yield running


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    return {"log": str(tmp_path / "legs.log")}


def text_of(result: dict[str, Any]) -> str:
    text: str = result["content"][0]["text"]
    return text


async def opened(http: httpx2.AsyncClient, longhaul: Router) -> LegacyClient:
    client = LegacyClient(http, longhaul.url)
    params = {
        "protocolVersion": LEGACY,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "by-hand", "version": "0"},
    }
    response = await client.post("initialize", params, id=0)
    client.headers["mcp-session-id"] = response.headers["mcp-session-id"]
    client.headers["mcp-protocol-version"] = LEGACY
    await client.post("notifications/initialized")
    return client


async def reply(
    client: LegacyClient, http: httpx2.AsyncClient, longhaul: Router, question: Any, **body: Any
) -> None:
    message = {"jsonrpc": "2.0", "id": question["id"], **body}
    response = await http.post(longhaul.url, json=message, headers=client.headers)
    assert response.status_code == 202


async def test_a_legacy_task_is_asked_on_the_stream_of_its_result(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = await opened(http, longhaul)
    created = await legacy_request(client, "tools/call", name="greet", arguments=arguments, task={})
    task = created["result"]["task"]["taskId"]
    await longhaul.until_state(JobState.INPUT_REQUIRED)
    shown = await legacy_request(client, "tasks/get", taskId=task)
    assert shown["result"]["status"] == "input_required"
    async with client.stream("tasks/result", {"taskId": task}, id=9) as response:
        stream = Stream(response)
        question = await stream.until("elicitation/create")
        related = question["params"]["_meta"]["io.modelcontextprotocol/related-task"]
        assert related == {"taskId": task}
        await reply(client, http, longhaul, question, result=ANN)
        answer = await stream.answer()
    assert text_of(answer["result"]) == "hello Ann"


async def test_an_answer_that_comes_after_the_hand_off_still_counts(
    asking_url: str, http: httpx2.AsyncClient, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    async with router(tmp_path, asking_url, answering=Answering(call_wait=0.5)) as longhaul:
        client = await opened(http, longhaul)
        async with client.call("greet", request_id=7, arguments=arguments) as response:
            stream = Stream(response)
            question = await stream.until("elicitation/create")
            answer = await stream.answer()
        assert "still running" in text_of(answer["result"]).lower()
        await reply(client, http, longhaul, question, result=ANN)
        await longhaul.until_state(JobState.COMPLETED)


async def test_who_lost_the_connection_is_asked_again_by_the_same_call(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = await opened(http, longhaul)
    async with client.call("greet", request_id=7, arguments=arguments) as response:
        first = await Stream(response).until("elicitation/create")
    await until_answered(lambda: orphaned(longhaul))
    async with client.call("greet", request_id=8, arguments=arguments) as response:
        stream = Stream(response)
        question = await stream.until("elicitation/create")
        assert question["id"] != first["id"]
        await reply(client, http, longhaul, question, result=ANN)
        assert text_of((await stream.answer())["result"]) == "hello Ann"
    await longhaul.only_job()


async def orphaned(longhaul: Router) -> bool:
    return (await longhaul.only_job()).cancel_at > 0


async def test_a_client_that_cannot_answer_cancels_the_question(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = await opened(http, longhaul)
    async with client.call("greet", request_id=7, arguments=arguments) as response:
        stream = Stream(response)
        question = await stream.until("elicitation/create")
        assert "_meta" not in question["params"]
        error = {"code": -32603, "message": "no screen"}
        await reply(client, http, longhaul, question, error=error)
        answer = await stream.answer()
    assert answer["result"]["isError"] is True


async def test_an_answer_by_somebody_else_withdraws_the_question(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = await opened(http, longhaul)
    async with client.call("greet", request_id=7, arguments=arguments) as response:
        stream = Stream(response)
        await stream.until("elicitation/create")
        head = await longhaul.only_job()
        asked = await longhaul.ingress.respond.open_round(head)
        assert asked is not None
        answers = dict.fromkeys(asked.requests, ANN)
        await longhaul.ingress.respond.answer(head.id, answers, Caller(name="local"))
        answer = await stream.answer()
    assert text_of(answer["result"]) == "hello Ann"


async def test_nothing_stays_open_behind_an_answered_question(
    longhaul: Router, http: httpx2.AsyncClient, arguments: dict[str, Any]
) -> None:
    client = await opened(http, longhaul)
    async with client.call("greet", request_id=7, arguments=arguments) as response:
        stream = Stream(response)
        question = await stream.until("elicitation/create")
        await reply(client, http, longhaul, question, result=ANN)
        await stream.answer()
    await until(lambda: not longhaul.ingress.follower.following)
