"""Callbacks of many: callers, receivers that hang, and an operator who changes the rules."""

from pathlib import Path

import httpx2
import pytest

from common.jobs.endings import complete
from common.reconciler import Reconciler
from ingress.callbacks.resolving import Resolver
from ingress.callbacks.sender import CallbackSender
from tests.integration.ingress.test_callbacks import RESULT, completed, submitted, until_so
from tests.support.receiver import CALLBACKS, Receiver, receiver
from tests.support.surfaces import surface
from tests.support.system import running

pytestmark = pytest.mark.anyio


async def test_a_crowd_for_a_host_that_hangs_keeps_no_other_waiting(
    tmp_path: Path, hooks: Receiver
) -> None:
    async with surface(tmp_path, still=True, callbacks=dict(CALLBACKS) | {"timeout": 60.0}) as on:
        sender = CallbackSender(on.runtime, Resolver(on.runtime.settings.callbacks), waiting=10)
        with receiver(tmp_path / "slow") as slow:
            slow.answers("hang")
            hanging = slow.url.replace("127.0.0.1", "localhost")
            async with running(Reconciler(on.runtime).run()), running(sender.run()):
                for _ in range(12):
                    await completed(on, hanging)
                await slow.until_came(4)
                await completed(on, hooks.url)
                await hooks.until_came(1)


async def test_a_host_that_hangs_keeps_no_other_waiting(tmp_path: Path, hooks: Receiver) -> None:
    few = dict(CALLBACKS) | {"timeout": 3.0, "at_once": 4}
    with receiver(tmp_path / "slow") as slow:
        slow.answers("hang")
        hanging = slow.url.replace("127.0.0.1", "localhost")
        async with surface(tmp_path, callbacks=few) as on:
            for _ in range(6):
                await completed(on, hanging)
            await slow.until_came(1)
            await completed(on, hooks.url)
            await hooks.until_came(1, seconds=2)
        assert len(slow.came) == 1


async def test_another_caller_sees_no_callbacks(tmp_path: Path, hooks: Receiver) -> None:
    listen = {"api_keys": "admin=a,other=b"}
    async with surface(
        tmp_path, headers={"x-api-key": "a"}, callbacks=dict(CALLBACKS), listen=listen
    ) as on:
        hooks.answers("410")
        job = await completed(on, hooks.url)
        await until_so(on, job, state="failed")
        made = await on.http.post("/v1/keys", json={"name": "guest", "role": "user"})
        headers = {"x-api-key": made.json()["key"]}
        async with httpx2.AsyncClient(
            base_url=on.http.base_url, headers=headers, timeout=60
        ) as guest:
            assert (await guest.get("/v1/callbacks")).json()["jobs"] == []
            again = await guest.post(f"/v1/jobs/{job}/callback/replay")
            assert again.status_code == 404


async def test_pages_have_a_callers_own(tmp_path: Path, hooks: Receiver) -> None:
    listen = {"api_keys": "admin=a,other=b"}
    async with surface(
        tmp_path, headers={"x-api-key": "a"}, callbacks=dict(CALLBACKS), listen=listen
    ) as on:
        keys = {}
        for name in ("ann", "bob"):
            made = await on.http.post("/v1/keys", json={"name": name, "role": "user"})
            keys[name] = {"x-api-key": made.json()["key"]}
        theirs: dict[str, list[str]] = {"ann": [], "bob": []}
        for name in ("ann", "bob") * 3:
            on.http.headers.update(keys[name])
            theirs[name].append(await completed(on, hooks.url))
            await until_so(on, theirs[name][-1], state="delivered")
        query = {"state": "delivered", "limit": "2"}
        first = (await on.http.get("/v1/callbacks", params=query)).json()
        query["cursor"] = first["cursor"]
        second = (await on.http.get("/v1/callbacks", params=query)).json()
        found = [each["id"] for each in (*first["jobs"], *second["jobs"])]
        assert (found, second["cursor"]) == (theirs["bob"][::-1], None)


async def test_who_may_be_asked_is_judged_again_when_it_is_sent(
    tmp_path: Path, hooks: Receiver
) -> None:
    """A name may lead elsewhere by then; here it is the operator who thinks otherwise."""
    async with surface(tmp_path, callbacks=dict(CALLBACKS)) as before:
        job = await submitted(before, hooks.url)
    async with surface(tmp_path, callbacks=dict(CALLBACKS) | {"allow": (), "attempts": 1}) as on:
        head = await on.start(job)
        await on.commit(job, complete(head, RESULT, on.retention, tool_error=False))
        shown = await until_so(on, job, state="failed")
        assert "not on the public net" in shown["last_error"]
    assert hooks.came == []
