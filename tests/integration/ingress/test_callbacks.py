"""Callbacks over REST: sent, signed, retried, given up, replayed; whom they may not reach."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from common.config.model import Retention
from common.jobs.callbacks import call_back_again, is_owed, take
from common.jobs.endings import complete, fail, lose
from common.reconciler import Reconciler
from tests.support.journal import Journal
from tests.support.receiver import CALLBACKS, OLD_SECRET, SECRET, Receiver
from tests.support.surfaces import Surface, surface
from tests.support.system import running
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

RESULT = b'{"content":[{"type":"text","text":"done"}],"big":123456789012345678901234567890}'


@pytest.fixture
async def on(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Surface]:
    """With the receiver's address allowed; a test's parameter changes settings."""
    changed: dict[str, Any] = getattr(request, "param", {})
    async with (
        surface(tmp_path, callbacks=dict(CALLBACKS) | changed) as opened,
        running(Reconciler(opened.runtime).run()),
    ):
        yield opened


async def submitted(on: Surface, url: str) -> str:
    return str((await on.submit(callback={"url": url}))["id"])


async def completed(on: Surface, url: str, result: bytes = RESULT) -> str:
    job = await submitted(on, url)
    head = await on.start(job)
    await on.commit(job, complete(head, result, on.retention, tool_error=False))
    return job


async def callback(on: Surface, job: str) -> dict[str, Any]:
    response = await on.http.get(f"/v1/jobs/{job}")
    return dict(response.json()["callback"])


async def until_so(on: Surface, job: str, **wanted: Any) -> dict[str, Any]:
    """The callback as the job shows it, once these members are so."""

    async def so() -> dict[str, Any] | None:
        shown = await callback(on, job)
        return shown if all(shown[name] == value for name, value in wanted.items()) else None

    shown = await until_answered(so, seconds=20)
    assert shown is not None
    return shown


async def test_the_end_is_told_at_once_and_signed(on: Surface, hooks: Receiver) -> None:
    job = await completed(on, f"{hooks.url}/done?token=hidden")
    (came,) = await hooks.until_came(1, seconds=2)
    Webhook(SECRET).verify(came.body, dict(came.headers))
    assert came.path == "/done?token=hidden"
    assert came.headers["webhook-id"].startswith(f"msg_{job}_")
    assert (came.message["type"], came.message["data"]["id"]) == ("job.completed", job)
    assert RESULT in came.body
    shown = await until_so(on, job, state="delivered")
    assert shown["url"] == f"{hooks.url}/done?…"
    assert (shown["tries"], shown["last_error"]) == (1, None)
    assert shown["delivered_at"] is not None


async def test_a_failure_is_told_with_its_error(on: Surface, hooks: Receiver) -> None:
    job = await submitted(on, hooks.url)
    head = await on.start(job)
    await on.commit(job, fail(head, {"code": -1, "message": "no rows"}, on.retention))
    (came,) = await hooks.until_came(1)
    assert came.path == "/"
    data = came.message["data"]
    assert (data["state"], data["error"]["message"]) == ("failed", "no rows")


async def test_a_cancelled_job_is_told_too(on: Surface, hooks: Receiver) -> None:
    job = await submitted(on, hooks.url)
    assert (await callback(on, job))["state"] == "none"
    await on.http.delete(f"/v1/jobs/{job}")
    (came,) = await hooks.until_came(1)
    assert came.message["type"] == "job.cancelled"


@pytest.mark.parametrize("on", [{"public_url": "https://longhaul.example/"}], indirect=True)
async def test_a_large_result_is_a_link(on: Surface, hooks: Receiver) -> None:
    job = await completed(on, hooks.url, b'"' + b"x" * 100_000 + b'"')
    (came,) = await hooks.until_came(1)
    assert "result" not in came.message["data"]
    link = f"https://longhaul.example/v1/jobs/{job}/result"
    assert came.message["data"]["result_url"] == link


@pytest.mark.parametrize("on", [{"secrets": (SECRET, OLD_SECRET)}], indirect=True)
async def test_while_a_secret_is_replaced_both_verify(on: Surface, hooks: Receiver) -> None:
    await completed(on, hooks.url)
    (came,) = await hooks.until_came(1)
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(came.body, dict(came.headers))


async def test_a_receiver_that_fails_is_asked_again_with_the_same_id(
    on: Surface, hooks: Receiver
) -> None:
    hooks.answers("500", "302 location=http://127.0.0.1:1/elsewhere", "204")
    job = await completed(on, hooks.url)
    came = await hooks.until_came(3)
    assert len({each.headers["webhook-id"] for each in came}) == 1
    assert len({each.body for each in came}) == 1
    shown = await until_so(on, job, state="delivered")
    assert shown["tries"] == 3
    events = (await on.http.get(f"/v1/jobs/{job}/events")).json()["events"]
    errors = [each["facts"]["error"] for each in events if each["name"] == "callback_retried"]
    assert errors == ["HTTP 500", "HTTP 302: redirects are not followed"]


async def test_a_receiver_says_when_to_come_again(on: Surface, hooks: Receiver) -> None:
    hooks.answers("429 retry-after=3000")
    job = await completed(on, hooks.url)
    shown = await until_so(on, job, last_error="HTTP 429")
    head = await on.head(job)
    assert shown["state"] == "pending"
    assert head.callback_at - head.finished_at > 2_900_000


async def test_410_ends_it_and_a_replay_sends_it_again(on: Surface, hooks: Receiver) -> None:
    hooks.answers("410")
    job = await completed(on, hooks.url)
    shown = await until_so(on, job, state="failed")
    assert shown["tries"] == 1
    listed = (await on.http.get("/v1/callbacks")).json()["jobs"]
    assert [each["id"] for each in listed] == [job]
    response = await on.http.post(f"/v1/jobs/{job}/callback/replay")
    assert response.status_code == 202
    first, second = await hooks.until_came(2)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    await until_so(on, job, state="delivered")
    assert (await on.http.get("/v1/callbacks", params={"state": "failed"})).json()["jobs"] == []
    metrics = (await on.http.get("/metrics")).text
    assert 'longhaul_callback_tries_total{end="failed"} 1.0' in metrics
    assert 'longhaul_callback_tries_total{end="delivered"} 1.0' in metrics


@pytest.mark.parametrize("on", [{"attempts": 2}], indirect=True)
async def test_tries_are_bounded(on: Surface, hooks: Receiver) -> None:
    hooks.answers("500", "500", "500")
    job = await completed(on, hooks.url)
    shown = await until_so(on, job, state="failed")
    assert (shown["tries"], shown["last_error"], shown["next_try_at"]) == (2, "HTTP 500", None)
    assert len(hooks.came) == 2


@pytest.mark.parametrize("on", [{"timeout": 0.3, "attempts": 1}], indirect=True)
async def test_a_receiver_that_does_not_answer_is_left(on: Surface, hooks: Receiver) -> None:
    hooks.answers("hang")
    job = await completed(on, hooks.url)
    shown = await until_so(on, job, state="failed")
    assert shown["last_error"] == "no answer within 0.3 s"


@pytest.mark.parametrize("on", [{"timeout": 1.0, "attempts": 1}], indirect=True)
async def test_what_came_of_one_end_says_nothing_of_the_next(
    on: Surface, hooks: Receiver, said: Journal
) -> None:
    hooks.answers("hang")
    job = await submitted(on, hooks.url)
    await on.commit(job, lose(await on.start(job), "gone", on.retention, seen_gone=False))
    await on.commit(job, call_back_again(await on.head(job), "ann"))
    await hooks.until_came(1)
    await on.commit(job, complete(await on.head(job), RESULT, on.retention, tool_error=False))
    await on.commit(job, take(await on.head(job), 60_000))  # another ingress sends it
    await until(lambda: said.of("callback.tried"))
    head = await on.head(job)
    assert (is_owed(head), head.callback_tries, head.callback_error) == (True, 1, "")


async def test_one_that_is_given_up_stays_as_long_as_is_said_now(
    on: Surface, hooks: Receiver
) -> None:
    days = 99 * 86_400
    changed = {"retention": Retention(failed=days)}
    on.runtime.settings = on.runtime.settings.model_copy(update=changed)
    hooks.answers("410")
    job = await completed(on, hooks.url)
    await until_so(on, job, state="failed")
    head = await on.head(job)
    assert head.forget_at - head.finished_at > (days - 60) * 1000


async def test_nothing_to_replay_is_said(on: Surface, hooks: Receiver) -> None:
    waiting = await submitted(on, hooks.url)
    plain = str((await on.submit())["id"])
    for job in (waiting, plain):
        response = await on.http.post(f"/v1/jobs/{job}/callback/replay")
        assert (response.status_code, response.json()["type"]) == (
            409,
            "urn:longhaul:error:no-callback",
        )
    assert (await on.http.post("/v1/jobs/nosuch/callback/replay")).status_code == 404
    assert (await on.http.get(f"/v1/jobs/{plain}")).json()["callback"] is None


FORBIDDEN = (
    "https://10.0.0.1/",
    "https://192.168.1.1/hook",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/",
    "https://[fe80::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::a00:1]/",
    "https://224.0.0.1/",
    "https://0.0.0.0/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://2130706433/",
    "https://127.1/",
    "https://localhost/",
    "http://1.1.1.1/",
    "ftp://example.com/",
    "https://user:secret@example.com/",
    "https://example.com/#part",
    "https://example.com\\@10.0.0.1/",
    "https://no-such-host.invalid/",
)


@pytest.mark.parametrize("on", [{"allow": ()}], indirect=True)
async def test_whom_it_may_not_ask_is_refused_at_submission(on: Surface) -> None:
    for url in FORBIDDEN:
        body = {"tool": "b__export", "arguments": {"rows": 1}, "callback": {"url": url}}
        response = await on.http.post("/v1/jobs", json=body)
        assert response.status_code == 422, url
        assert response.json()["type"] == "urn:longhaul:error:callback-refused", url
    assert (await on.http.get("/v1/jobs")).json()["jobs"] == []


@pytest.mark.parametrize("on", [{"secrets": ()}], indirect=True)
async def test_without_a_secret_there_are_none(on: Surface, hooks: Receiver) -> None:
    body = {"tool": "b__export", "arguments": {"rows": 1}, "callback": {"url": hooks.url}}
    response = await on.http.post("/v1/jobs", json=body)
    assert response.status_code == 422
    assert "LONGHAUL_CALLBACK_SECRET" in response.json()["detail"]


def test_the_secrets_of_tests_are_secrets() -> None:
    for secret in (SECRET, OLD_SECRET):
        assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
