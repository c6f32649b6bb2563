"""Callbacks over MCP: named in `_meta`, told although the call was answered or its client left."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.jobs.callbacks import CallbackState
from tests.support.receiver import CALLBACKS, Receiver
from tests.support.routers import Router, last_message, modern_call, router
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


def named(url: str) -> dict[str, Any]:
    return {"longhaul/callback": {"url": url}}


async def test_a_call_is_answered_and_its_callback_sent(
    tmp_path: Path, backend_url: str, http: httpx2.AsyncClient, hooks: Receiver
) -> None:
    async with router(tmp_path, backend_url, callbacks=dict(CALLBACKS)) as longhaul:
        call = modern_call("echo", {"a": 1}, meta=named(hooks.url))
        answer = await http.post(longhaul.url, **call)
        assert "result" in last_message(answer.text)
        (came,) = await hooks.until_came(1)
        job = await longhaul.only_job()
        assert came.message["data"]["id"] == job.id
        assert (job.spec.keep, job.spec.attach, job.holder) == (True, "", "")

        async def delivered() -> bool:
            return (await longhaul.only_job()).callback == CallbackState.DELIVERED

        await until_answered(delivered)


@pytest.mark.parametrize(
    "callback",
    ["https://example.com", {"uri": "x"}, {"url": 7}, {"url": "https://10.0.0.1/"}, {"url": ""}],
)
async def test_what_may_not_be_asked_is_refused(
    longhaul: Router, http: httpx2.AsyncClient, callback: Any
) -> None:
    call = modern_call("echo", {}, meta={"longhaul/callback": callback})
    answer = last_message((await http.post(longhaul.url, **call)).text)
    assert answer["error"]["code"] == -32_602
    assert await longhaul.jobs() == []
