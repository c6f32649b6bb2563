"""A backend runs a call as a task of its own, in either dialect: one ordinary job all the same."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from common.config.model import Backend, Clocks, Retry, ToolRule
from common.jobs.head import Head
from common.jobs.state import JobState
from common.wire import dump_json
from tests.support.backends.tasking import (
    EXTENSION,
    QUESTION,
    LegacyTasks,
    ModernTasks,
    TaskingBackend,
)
from tests.support.inquiry import ADA, ALL, answer, only_key, open_round
from tests.support.system import Place, System, open_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

RAN = ["submitted", "claimed", "entrusted", "completed"]


@pytest.fixture(params=[ModernTasks, LegacyTasks], ids=["modern", "legacy"])
def backend(request: pytest.FixtureRequest) -> TaskingBackend:
    made: TaskingBackend = request.param()
    return made


@asynccontextmanager
async def in_front_of(
    backend: TaskingBackend, place: Place, **settings: Any
) -> AsyncIterator[System]:
    async with backend.serve() as url:
        config = Backend(name="t", transport="http", urls=(f"{url}/mcp",), interactive=True)
        async with open_system(place.settings(config, **settings)) as system, system.worker():
            yield system


async def test_its_result_is_the_jobs_word_for_word(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work", rows=3)
        (await backend.begun()).ends(structuredContent={"rows": [1.0, None]})
        head = await system.ended(job)
        assert (head.state, head.tool_error, head.tries) == (JobState.COMPLETED, False, 1)
        assert await system.events(job) == RAN
        result = await system.result(job)
    assert result == {
        "content": [{"type": "text", "text": "done"}],
        "vendorTop": None,
        "structuredContent": {"rows": [1.0, None]},
    }
    assert backend.said("tools/call")[-1]["arguments"] == {"rows": 3}
    assert len(backend.tasks) == 1


async def test_an_error_of_the_tool_is_its_result(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        task = await backend.begun()
        task.ends("no such table", isError=True)
        if isinstance(backend, LegacyTasks):
            task.status = "failed"  # as this dialect calls it
        head = await system.ended(job)
        assert (head.state, head.tool_error) == (JobState.COMPLETED, True)
        assert (await system.result(job))["isError"] is True


async def test_an_error_of_the_protocol_fails_the_job(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    error = {"code": -32_602, "message": "not like that", "data": {"row": 7}}
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        (await backend.begun()).moves("failed", error=error)
        assert (await system.ended(job)).state is JobState.FAILED
        assert await system.result(job) == error


async def test_a_task_that_is_cancelled_there_fails_the_job(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        (await backend.begun()).moves("cancelled")
        head = await system.ended(job)
        assert (head.state, head.reason) == (
            JobState.FAILED,
            "the backend's task was cancelled there",
        )


async def test_what_it_says_of_itself_is_the_jobs_progress(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        task = await backend.begun()
        for step, words in enumerate(("reading", "writing"), 1):
            task.message = words
            said = dump_json([float(step), None, words]).decode()
            await system.until_head(job, partial(_shows, said))
        task.ends()
        await system.ended(job)


async def test_progress_of_the_tool_itself_counts_for_more(embedded_place: Place) -> None:
    """Before 2026-07-28 a call's progress token is good for as long as its task."""
    backend = LegacyTasks()
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        task = await backend.begun()
        task.message, task.steps = "reading", [4.0]
        await system.until_head(job, partial(_shows, '[1.0,null,"reading"]'))
        task.ends()
        head = await system.ended(job)
        assert head.progress == "[4.0,9.0,null]"


def _shows(progress: str, head: Head) -> bool:
    return head.progress == progress


async def test_it_is_looked_at_no_more_often_than_it_asks(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    backend.interval_ms = 250
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        task = await backend.begun()
        await until(lambda: len(task.looks) == 3)
        task.ends()
        await system.ended(job)
    gaps = [later - earlier for earlier, later in zip(task.looks, task.looks[1:], strict=False)]
    assert all(0.24 < gap < 2 for gap in gaps), gaps


async def test_a_cancel_reaches_the_task(backend: TaskingBackend, embedded_place: Place) -> None:
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit("t__work")
        task = await backend.begun()
        await until(lambda: task.looks)
        await system.cancel(job)
        await until(lambda: task.status == "cancelled")
        head = await system.until_head(job, lambda head: not head.still_running)
        assert head.state is JobState.CANCELLED
    assert [params["taskId"] for params in backend.said("tasks/cancel")] == [task.id]


async def test_a_clock_ends_the_task_and_the_next_try_is_another(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    rule = ToolRule(
        repeatable=True, timeout=Clocks(run=0.5), retry=Retry(attempts=2, first=0.0, max=0.0)
    )
    async with in_front_of(backend, embedded_place, tools={"t__*": rule}) as system:
        job = await system.submit("t__work")
        first, second = await backend.begun(), await backend.begun(2)
        assert first.status == "cancelled"
        second.ends()
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.COMPLETED, 2)


# --- questions


async def test_it_asks_and_is_answered(backend: TaskingBackend, embedded_place: Place) -> None:
    """Free in 2026-07-28, when the task waits alone; else over the connection that waits."""
    free = isinstance(backend, ModernTasks)
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit_with("t__work", {}, client_capabilities=ALL)
        task = await backend.begun()
        task.asks()
        head, questions = await open_round(system, job)
        assert bool(head.owner) is not free
        (request,) = questions.requests.values()
        assert request == QUESTION
        await answer(system, job, {only_key(questions): ADA})
        await until(lambda: task.answers)
        assert list(task.answers.values()) == [ADA]
        task.ends("hello Ada")
        assert (await system.ended(job)).tries == 1
        asked = ["submitted", "claimed", "entrusted", "asked", "answered"]
        assert await system.events(job) == [*asked, *(["claimed"] if free else []), "completed"]
    assert len(backend.tasks) == 1


async def test_what_was_answered_is_neither_asked_nor_answered_again(
    embedded_place: Place,
) -> None:
    """Not even where the backend is slow to take an answer in."""
    backend = ModernTasks(stale=2)
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit_with("t__work", {}, client_capabilities=ALL)
        task = await backend.begun()
        task.asks(first=QUESTION)
        _, questions = await open_round(system, job)
        await answer(system, job, {only_key(questions): ADA})
        await until(lambda: task.status == "working")
        task.asks(first=QUESTION, second=QUESTION)
        _, questions = await open_round(system, job, 2)
        assert only_key(questions) == "2.second"
        await answer(system, job, {only_key(questions): ADA})
        await until(lambda: task.status == "working")
        task.ends()
        assert (await system.ended(job)).claims == 3
    sent = [set(params["inputResponses"]) for params in backend.said("tasks/update")]
    assert sent == [{"first"}, {"first", "second"}]


# --- which calls


async def test_other_tools_of_such_a_backend_are_called_as_ever(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    """Their progress comes as it happens, and their result at once."""
    declared: dict[str, Any] = {"elicitation": {}, "extensions": {EXTENSION: {}}, "tasks": {}}
    async with in_front_of(backend, embedded_place) as system:
        job = await system.submit_with("t__plain", {}, client_capabilities=declared)
        await system.ended(job)
        got = (await system.result(job))["got"]
        assert await system.events(job) == ["submitted", "claimed", "completed"]
    assert "task" not in got
    assert EXTENSION not in str(got)


async def test_two_first_calls_of_a_tool_at_once_are_two_tasks(
    backend: TaskingBackend, embedded_place: Place
) -> None:
    async with in_front_of(backend, embedded_place) as system:
        jobs = [await system.submit("t__work") for _ in range(2)]
        for task in (await backend.begun(), await backend.begun(2)):
            task.ends()
        for job in jobs:
            assert (await system.ended(job)).state is JobState.COMPLETED
    assert len(backend.tasks) == 2


async def test_requests_about_a_modern_task_are_routed_by_its_name(embedded_place: Place) -> None:
    backend = ModernTasks()
    async with in_front_of(backend, embedded_place) as system:
        for _ in range(2):
            job = await system.submit_with("t__work", {}, client_capabilities=ALL)
            (await backend.begun(len(backend.tasks) + 1)).ends()
            await system.ended(job)
    calls = [params["_meta"] for params in backend.said("tools/call")]
    assert len(calls) == 3  # the first showed what the tool needs, and never ran
    declared = calls[-1]["io.modelcontextprotocol/clientCapabilities"]
    assert declared == {**ALL, "extensions": {EXTENSION: {}}}
    for method, params, headers in backend.asked:
        if method.startswith("tasks/"):
            assert (headers["mcp-method"], headers["mcp-name"]) == (method, params["taskId"])
            capabilities = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
            assert EXTENSION in capabilities["extensions"]
