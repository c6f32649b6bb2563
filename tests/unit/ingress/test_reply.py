"""One answer: JSON when nothing was said before it, else a stream that ends with it."""

import asyncio

import orjson
import pytest
from mcp_types import INVALID_PARAMS, ErrorData
from starlette.types import Message

from ingress.mcp import reply as module
from ingress.mcp.reply import Reply, Speech

pytestmark = pytest.mark.anyio


class Wire:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.grew = asyncio.Event()

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        self.grew.set()

    @property
    def bodies(self) -> list[bytes]:
        return [each["body"] for each in self.messages[1:]]

    @property
    def kind(self) -> bytes:
        kind: bytes = dict(self.messages[0]["headers"])[b"content-type"]
        return kind


async def test_json_when_nothing_was_said() -> None:
    wire = Wire()
    await Reply(wire.send, 7).result({"content": []})
    assert wire.kind == b"application/json"
    answer = orjson.loads(wire.bodies[0])
    assert answer == {"jsonrpc": "2.0", "id": 7, "result": {"content": []}}
    assert wire.messages[-1]["more_body"] is False


async def test_an_error_has_the_status_of_its_code() -> None:
    wire = Wire()
    await Reply(wire.send, "a").error(ErrorData(code=INVALID_PARAMS, message="no"))
    assert wire.messages[0]["status"] == 400
    assert orjson.loads(wire.bodies[0])["error"] == {"code": INVALID_PARAMS, "message": "no"}


async def test_a_stream_once_something_was_said() -> None:
    wire = Wire()
    reply = Reply(wire.send, 7)
    await Speech(reply, "token").report_progress(0.5, 1.0)
    await reply.result({})
    assert wire.kind == b"text/event-stream"
    first, last = wire.bodies
    progress = {"progressToken": "token", "progress": 0.5, "total": 1.0}
    assert first.startswith(b"event: message\r\ndata: ")
    assert orjson.loads(first.partition(b"data: ")[2])["params"] == progress
    assert orjson.loads(last.partition(b"data: ")[2])["result"] == {}
    assert [each.get("more_body") for each in wire.messages[1:]] == [True, False]


async def test_who_gave_no_token_hears_no_progress() -> None:
    wire = Wire()
    reply = Reply(wire.send, 7)
    await Speech(reply, None).report_progress(0.5)
    reply.close()
    assert not wire.messages


async def test_silence_is_broken_by_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_EVERY", 0.01)
    wire = Wire()
    reply = Reply(wire.send, 7)
    async with asyncio.timeout(30):
        while len(wire.messages) < 3:  # the head, and a ping after each silence
            wire.grew.clear()
            await wire.grew.wait()
    await reply.result({})
    assert wire.kind == b"text/event-stream"
    assert set(wire.bodies[:-1]) == {b": ping\r\n\r\n"}
    assert b'"result":{}' in wire.bodies[-1]
