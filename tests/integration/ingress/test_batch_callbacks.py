"""The callback of a batch: one message for its end, a further one when its rows ran again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from common.jobs.callbacks import CallbackState
from common.reconciler import Reconciler
from tests.support.batch_desk import BatchDesk
from tests.support.receiver import CALLBACKS, SECRET, Receiver
from tests.support.surfaces import Surface, surface
from tests.support.system import running
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[Surface]:
    async with (
        surface(tmp_path, callbacks=dict(CALLBACKS)) as opened,
        running(Reconciler(opened.runtime).run()),
    ):
        yield opened


async def submitted(on: Surface, url: str, rows: list[Any]) -> str:
    body = {"tool": "b__export", "rows": rows, "callback": {"url": url}}
    response = await on.http.post("/v1/batches", json=body)
    assert response.status_code == 202, response.text
    assert response.json()["callback"]["state"] == "none"
    return str(response.json()["id"])


async def until_callback(on: Surface, batch: str, state: CallbackState) -> None:
    async def so() -> bool:
        shown = (await on.http.get(f"/v1/batches/{batch}")).json()
        return bool(shown["callback"]["state"] == state)

    await until_answered(so, seconds=20)


async def test_the_end_of_a_batch_is_told_once(on: Surface, hooks: Receiver) -> None:
    batch = await submitted(on, hooks.url, ["broken", "too"])
    (came,) = await hooks.until_came(1)
    Webhook(SECRET).verify(came.body, dict(came.headers))
    assert (came.message["type"], came.message["data"]["id"]) == ("batch.completed", batch)
    assert came.message["data"]["counts"]["refused"] == 2
    assert came.message["data"]["results_url"] == f"/v1/batches/{batch}/results"
    await until_callback(on, batch, CallbackState.DELIVERED)


async def test_a_cancelled_batch_is_told_of_and_its_rows_are_cancelled(
    on: Surface, hooks: Receiver
) -> None:
    batch = await submitted(on, hooks.url, [{"rows": 1}, {"rows": 2}])

    async def begun() -> bool:
        return bool((await on.http.get(f"/v1/batches/{batch}")).json()["created"] == 2)

    await until_answered(begun)
    await on.http.delete(f"/v1/batches/{batch}")
    (came,) = await hooks.until_came(1)
    assert came.message["type"] == "batch.cancelled"
    await until_callback(on, batch, CallbackState.DELIVERED)

    async def ended() -> bool:
        counts = (await on.http.get(f"/v1/batches/{batch}")).json()["counts"]
        return bool(counts["cancelled"] == 2)

    await until_answered(ended, seconds=20)


async def test_what_was_given_up_is_listed_and_sent_again(on: Surface, hooks: Receiver) -> None:
    hooks.answers("410")
    batch = await submitted(on, hooks.url, ["broken"])
    await until_callback(on, batch, CallbackState.FAILED)
    listed = (await on.http.get("/v1/callbacks")).json()["jobs"]
    assert [each["id"] for each in listed] == [batch]
    response = await on.http.post(f"/v1/jobs/{batch}/callback/replay")
    assert response.status_code == 202, response.text
    first, second = await hooks.until_came(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_rows_that_run_again_make_another_message(on: Surface, hooks: Receiver) -> None:
    desk = BatchDesk(on)
    batch = await submitted(on, hooks.url, [{"rows": 1}])
    await desk.until(batch, created=1)
    await desk.run(batch, 1, fails=True)
    await hooks.until_came(1)
    await until_callback(on, batch, CallbackState.DELIVERED)
    assert (await on.http.post(f"/v1/batches/{batch}/retry")).status_code == 202
    await desk.until(batch, failed=0)
    await desk.run(batch, 1)
    first, second = await hooks.until_came(2)
    assert first.headers["webhook-id"] != second.headers["webhook-id"]
    await until_callback(on, batch, CallbackState.DELIVERED)


async def test_a_batch_for_a_forbidden_address_is_refused(on: Surface) -> None:
    query = {"tool": "b__export", "callback": "https://10.0.0.1/"}
    response = await on.http.post("/v1/batches", params=query, content=b"{}\n")
    assert response.json()["type"] == "urn:longhaul:error:callback-refused"
    assert (await on.http.get("/v1/batches")).json()["batches"] == []


async def test_a_key_with_a_callback_that_would_not_be_told_is_refused(
    on: Surface, hooks: Receiver
) -> None:
    async def begun(path: str) -> Any:
        body = {"tool": "b__export", "rows": ["broken"], "callback": {"url": hooks.url + path}}
        sent = await on.http.post("/v1/batches", json=body, headers={"idempotency-key": "k"})
        return sent.json()

    batch = await begun("/one")
    assert (await begun("/one"))["id"] == batch["id"]
    assert (await begun("/other"))["type"] == "urn:longhaul:error:idempotency-conflict"
