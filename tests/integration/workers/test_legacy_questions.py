"""Questions in mid-call, of older protocols: the connection waits for the reply, the slot not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Backend, Questions, Queue, ToolRule
from common.jobs.state import JobState
from tests.integration.backends.test_peers import FIRST, running
from tests.support.inquiry import (
    ADA,
    ALL,
    NO,
    STORY,
    answer,
    asked,
    only_key,
    open_round,
    text,
)
from tests.support.logbook import lines
from tests.support.peers import peer_python
from tests.support.ports import free_port
from tests.support.system import BACKENDS, OpenSystem, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

GRACE = {"action": "accept", "content": {"name": "Grace"}}
RAN = ["submitted", "claimed", "asked", "answered", "completed"]


def over_stdio(**settings: Any) -> Backend:
    command = str(peer_python("mcp1"))
    given = {"interactive": True, **settings}
    return Backend(name="q", command=command, args=(FIRST, "stdio"), **given)


@contextmanager
def over_http(transport: str) -> Iterator[Backend]:
    server, path = {"http": ("streamable-http", "/mcp"), "sse": ("sse", "/sse")}[transport]
    port = free_port()
    command = [str(peer_python("mcp1")), FIRST, server, str(port)]
    with running(command, port):
        url = f"http://127.0.0.1:{port}{path}"
        yield Backend(name="q", transport=transport, urls=(url,), interactive=True)


@pytest.fixture(scope="module")
def http() -> Iterator[Backend]:
    with over_http("http") as backend:
        yield backend


@pytest.fixture(scope="module")
def sse() -> Iterator[Backend]:
    with over_http("sse") as backend:
        yield backend


@pytest.fixture(params=["stdio", "http", "sse"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "stdio":
        return over_stdio()
    found: Backend = request.getfixturevalue(request.param)
    return found


async def test_a_question_in_mid_call_is_answered_where_it_was_asked(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(backend) as system, system.worker() as lease:
        head, questions = await asked(system, "q__greet", log=str(log))
        assert (head.state, head.claim) == (JobState.INPUT_REQUIRED, (lease, 1))
        key = only_key(questions)
        assert questions.requests[key]["params"]["message"] == "Name 1?"
        after = await answer(system, head.id, {key: ADA})
        assert after.claim == (lease, 1)
        head = await system.ended(head.id)
        assert (head.state, head.tries, head.claims) == (JobState.COMPLETED, 1, 1)
        assert text(await system.result(head.id)) == "hello Ada"
        assert await system.events(head.id) == RAN
    assert lines(log) == ["asks 1"]


async def test_what_the_caller_cannot_be_asked_gets_the_default_at_once(
    system_on: OpenSystem, http: Backend, tmp_path: Path
) -> None:
    tools = {"q__*": ToolRule(questions=Questions(default=ADA))}
    async with system_on(http, tools=tools) as system, system.worker():
        log = {"log": str(tmp_path / "log"), "times": 2}
        job = await system.submit_with("q__greet", log, client_capabilities={})
        await system.ended(job)
        assert text(await system.result(job)) == "hello Ada and Ada"
        assert await system.events(job) == ["submitted", "claimed", "completed"]


async def test_one_call_may_ask_twice(system_on: OpenSystem, http: Backend, tmp_path: Path) -> None:
    async with system_on(http) as system, system.worker():
        head, first = await asked(system, "q__greet", log=str(tmp_path / "log"), times=2)
        await answer(system, head.id, {only_key(first): ADA})
        head, second = await open_round(system, head.id, 2)
        assert only_key(first) != only_key(second)
        await answer(system, head.id, {only_key(first): NO})
        await answer(system, head.id, {only_key(second): GRACE})
        await system.ended(head.id)
        assert text(await system.result(head.id)) == "hello Ada and Grace"


async def test_sampling_is_answered_or_refused(system_on: OpenSystem, http: Backend) -> None:
    async with system_on(http) as system, system.worker():
        head, questions = await asked(system, "q__tell")
        await answer(system, head.id, {only_key(questions): STORY})
        await system.ended(head.id)
        assert text(await system.result(head.id)) == "m says once"
        head, questions = await asked(system, "q__tell")
        no = {"error": {"code": -1, "message": "not with my model"}}
        await answer(system, head.id, {only_key(questions): no})
        head = await system.ended(head.id)
        assert (head.state, head.tool_error) == (JobState.COMPLETED, True)
        assert "not with my model" in text(await system.result(head.id))


# --- what a waiting call holds, and what not


async def test_its_slot_is_free_while_it_waits(
    system_on: OpenSystem, http: Backend, tmp_path: Path
) -> None:
    """One slot; the jobs behind it run, also when the first goes on beside them."""
    async with system_on(http, queues={"q": Queue(slots=1)}) as system, system.worker():
        head, questions = await asked(system, "q__greet", log=str(tmp_path / "log"))
        for _ in range(2):
            behind = await system.submit("q__steps", count=1)
            assert (await system.ended(behind)).state is JobState.COMPLETED
        await system.publish(head.id)  # a second token for it takes no slot either
        behind = await system.submit("q__steps", count=1)
        assert (await system.ended(behind)).state is JobState.COMPLETED
        await answer(system, head.id, {only_key(questions): ADA})
        assert text(await system.result((await system.ended(head.id)).id)) == "hello Ada"


async def test_over_pipes_a_replica_takes_one_call_at_a_time(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Nothing would say whose a second question is; another replica takes the other call."""
    async with system_on(over_stdio(replicas=2, concurrency=4)) as system, system.worker():
        one, first = await asked(system, "q__greet", log=str(tmp_path / "one"))
        two, second = await asked(system, "q__greet", log=str(tmp_path / "two"))
        third = await system.submit("q__greet", log=str(tmp_path / "three"))
        await answer(system, two.id, {only_key(second): GRACE})
        assert text(await system.result((await system.ended(two.id)).id)) == "hello Grace"
        head, last = await open_round(system, third)
        assert lines(tmp_path / "three") == ["asks 1"]
        assert last.operator == (only_key(last),)  # its caller has declared nothing
        await answer(system, head.id, {only_key(last): NO}, operator=True)
        await answer(system, one.id, {only_key(first): ADA})
        assert text(await system.result((await system.ended(one.id)).id)) == "hello Ada"
        assert text(await system.result((await system.ended(third)).id)) == "hello decline"


async def test_each_of_several_calls_on_one_session_gets_its_own_answer(
    system_on: OpenSystem, http: Backend, tmp_path: Path
) -> None:
    async with system_on(http) as system, system.worker():
        waiting = [
            await asked(system, "q__greet", log=str(tmp_path / str(number))) for number in range(3)
        ]
        for number, (head, questions) in reversed(list(enumerate(waiting))):
            name = {"action": "accept", "content": {"name": f"n{number}"}}
            await answer(system, head.id, {only_key(questions): name})
        for number, (head, _) in enumerate(waiting):
            assert text(await system.result((await system.ended(head.id)).id)) == f"hello n{number}"


async def test_a_backend_that_is_not_interactive_is_told_that_nobody_can_be_asked(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with system_on(over_stdio(interactive=False)) as system, system.worker():
        job = await system.submit("q__greet", log=str(tmp_path / "log"))
        head = await system.ended(job)
        assert (head.state, head.tool_error) == (JobState.COMPLETED, True)
        assert "asked" not in await system.events(job)


# --- other ends


async def test_nobody_answers_in_time(system_on: OpenSystem, http: Backend, tmp_path: Path) -> None:
    tools = {"q__*": ToolRule(questions=Questions(deadline=0.2))}
    async with system_on(http, tools=tools) as system, system.worker():
        job = await system.submit("q__greet", log=str(tmp_path / "log"))
        assert (await system.ended(job)).state is JobState.COMPLETED
        assert text(await system.result(job)) == "hello decline"


async def test_a_waiting_call_is_cancelled_at_once_and_its_tool_is_told(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__greet", log=str(log))
        assert await system.cancel(head.id)
        assert (await system.head(head.id)).state is JobState.CANCELLED
        await until(lambda: lines(log) == ["asks 1", "cancelled"])
        await system.until_head(head.id, lambda head: not head.still_running)
        after = await answer(system, head.id, {only_key(questions): ADA})
        assert after.state is JobState.CANCELLED
        # The connection is of use to the next call, and its question is the next call's.
        head, questions = await asked(system, "q__greet", log=str(tmp_path / "next"))
        await answer(system, head.id, {only_key(questions): GRACE})
        assert text(await system.result((await system.ended(head.id)).id)) == "hello Grace"


async def test_a_cancelled_call_that_may_still_ask_costs_its_connection(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """This backend never answers what was cancelled: a question could be anybody's."""
    log = tmp_path / "log"
    async with system_on(gated(interactive=True)) as system, system.worker():
        first = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
        await until(lambda: lines(log) == ["started"])
        await system.cancel(first)
        second = await system.submit(log=str(tmp_path / "second"))
        head = await system.ended(second, seconds=20)
        assert (head.state, head.tries) == (JobState.COMPLETED, 1)
        assert "handed_back" in await system.events(second)


@pytest.mark.parametrize("repeatable", [True, False])
async def test_the_worker_of_a_waiting_call_dies(
    system_on: OpenSystem, http: Backend, tmp_path: Path, *, repeatable: bool
) -> None:
    tools = {"q__*": ToolRule(repeatable=repeatable)}
    async with system_on(http, tools=tools) as system:
        async with system.worker() as lease:
            head, first = await asked(system, "q__greet", log=str(tmp_path / "log"))
        await system.store.release(lease)
        went_on = JobState.QUEUED if repeatable else JobState.LOST
        head = await system.in_state(head.id, went_on)
        late = await answer(system, head.id, {only_key(first): ADA})
        assert (late.version, late.answer_by) == (head.version, 0)
        if not repeatable:
            return
        async with system.worker():
            head, second = await open_round(system, head.id, 2)
            await answer(system, head.id, {only_key(second): GRACE})
            head = await system.ended(head.id)
            assert (head.state, head.tries) == (JobState.COMPLETED, 2)
            assert text(await system.result(head.id)) == "hello Grace"


async def test_a_server_of_both_eras_is_spoken_to_in_the_older_one_where_its_tools_need_that(
    system_on: OpenSystem,
) -> None:
    args = (str(BACKENDS / "elicits.py"),)
    both = Backend(name="q", command=sys.executable, args=args, interactive=True)
    async with system_on(both) as system, system.worker():
        job = await system.submit_with("q__greet", {}, client_capabilities=ALL)
        head = await system.ended(job)
        assert head.state is JobState.FAILED
        assert "back-channel" in (await system.result(head.id))["message"]  # its own words
    legacy = both.model_copy(update={"protocol": "legacy"})
    async with system_on(legacy) as system, system.worker():
        head, questions = await asked(system, "q__greet")
        await answer(system, head.id, {only_key(questions): ADA})
        await system.ended(head.id)
        assert text(await system.result(head.id)) == "hello Ada"
