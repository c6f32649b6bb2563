"""A task of a backend outlives connections and workers: it is followed again, never run again."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from common.config.model import Backend, Retry, ToolRule
from common.errors import OUTCOME_UNKNOWN
from common.jobs.state import JobState
from tests.support.backends.tasking import LegacyTasks, ModernTasks, TaskingBackend
from tests.support.inquiry import ADA, ALL, answer, only_key, open_round
from tests.support.system import OpenSystem, System
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

AGAIN = {"t__*": ToolRule(repeatable=True, retry=Retry(attempts=2, first=0.0, max=0.0))}


@pytest.fixture(params=[ModernTasks, LegacyTasks], ids=["modern", "legacy"])
def backend(request: pytest.FixtureRequest) -> TaskingBackend:
    made: TaskingBackend = request.param()
    return made


@pytest.fixture
async def config(backend: TaskingBackend) -> AsyncIterator[Backend]:
    async with backend.serve() as url:
        yield at(url)


def at(*urls: str) -> Backend:
    paths = tuple(f"{url}/mcp" for url in urls)
    return Backend(name="t", transport="http", urls=paths, interactive=True)


async def entrusted(system: System, job: str) -> None:
    await system.until_head(job, lambda head: bool(head.backend_task))


async def test_a_dead_worker_costs_a_job_that_may_not_be_repeated_nothing(
    system_on: OpenSystem, backend: TaskingBackend, config: Backend
) -> None:
    async with system_on(config) as system:
        async with system.worker() as lease:
            job = await system.submit("t__work")
            task = await backend.begun()
            await entrusted(system, job)
        await system.store.release(lease)
        head = await system.in_state(job, JobState.QUEUED)
        assert (head.tries, head.reason) == (0, "its worker died; its backend goes on with it")
        async with system.worker():
            task.ends()
            head = await system.ended(job)
        assert (head.state, head.tries, head.claims) == (JobState.COMPLETED, 1, 2)
        ran = ["submitted", "claimed", "entrusted", "rescued", "claimed", "completed"]
        assert await system.events(job) == ran
    assert len(backend.tasks) == 1
    assert backend.said("tasks/cancel") == []


async def test_a_lost_connection_hands_it_back_and_it_is_followed_again(
    system_on: OpenSystem, backend: TaskingBackend, config: Backend
) -> None:
    async with system_on(config) as system, system.worker():
        job = await system.submit("t__work")
        task = await backend.begun()
        await entrusted(system, job)
        backend.away = True
        await system.in_state(job, JobState.QUEUED)
        backend.away = False
        task.ends()
        head = await system.ended(job, seconds=20)
        assert (head.state, head.tries) == (JobState.COMPLETED, 1)
        assert "handed_back" in await system.events(job)
    assert len(backend.tasks) == 1


@pytest.mark.parametrize("repeatable", [True, False])
async def test_a_backend_that_has_forgotten_its_task(
    system_on: OpenSystem, backend: TaskingBackend, config: Backend, *, repeatable: bool
) -> None:
    """What became of it nobody knows: as if the backend had died in mid-call."""
    async with system_on(config, tools=AGAIN if repeatable else {}) as system, system.worker():
        job = await system.submit("t__work")
        await backend.begun()
        await entrusted(system, job)
        backend.forget()
        if repeatable:
            (await backend.begun(2)).ends()
        head = await system.ended(job)
        if repeatable:
            assert (head.state, head.tries) == (JobState.COMPLETED, 2)
        else:
            assert head.state is JobState.LOST
            assert (await system.result(job))["code"] == OUTCOME_UNKNOWN
    assert len(backend.tasks) == (2 if repeatable else 1)


async def test_an_answer_reaches_the_task_through_another_worker(system_on: OpenSystem) -> None:
    backend = ModernTasks()
    async with backend.serve() as url, system_on(at(url)) as system:
        async with system.worker():
            job = await system.submit_with("t__work", {}, client_capabilities=ALL)
            task = await backend.begun()
            task.asks()
            _, questions = await open_round(system, job)
        assert (await answer(system, job, {only_key(questions): ADA})).state is JobState.QUEUED
        async with system.worker():
            await until(lambda: task.answers == {"who": ADA})
            task.ends()
            assert (await system.ended(job)).state is JobState.COMPLETED
    assert len(backend.tasks) == 1


async def test_a_question_whose_connection_is_lost_is_asked_again(system_on: OpenSystem) -> None:
    """Before 2026-07-28 it waits for its reply on a connection; the task itself does not."""
    backend = LegacyTasks()
    async with backend.serve() as url, system_on(at(url)) as system:
        async with system.worker() as lease:
            job = await system.submit_with("t__work", {}, client_capabilities=ALL)
            task = await backend.begun()
            task.asks()
            await open_round(system, job)
        await system.store.release(lease)
        await system.in_state(job, JobState.QUEUED)
        async with system.worker():
            _, questions = await open_round(system, job, 2)
            await answer(system, job, {only_key(questions): ADA})
            await until(partial(bool, task.answers))
            task.ends()
            head = await system.ended(job)
            assert (head.state, head.tries) == (JobState.COMPLETED, 1)


async def test_the_replica_that_has_the_task_is_found(system_on: OpenSystem) -> None:
    """Replicas need not share their tasks; who follows one again may be given any of them."""
    one, two = ModernTasks(), ModernTasks()
    async with (
        one.serve() as first,
        two.serve() as second,
        system_on(at(first, second)) as system,
        system.worker(),
    ):
        homes: dict[str, ModernTasks] = {}
        for _ in range(2):
            job = await system.submit_with("t__work", {}, client_capabilities=ALL)
            await entrusted(system, job)
            homes[job] = one if (await system.head(job)).backend_task in one.known else two
        assert set(map(id, homes.values())) == {id(one), id(two)}
        for backend in (one, two):
            backend.tasks[0].asks()
        keys = {job: only_key((await open_round(system, job))[1]) for job in homes}
        # The last first: in the other order each would be given its own by chance.
        for job, key in reversed(keys.items()):
            task = homes[job].tasks[0]
            await answer(system, job, {key: ADA})
            await until(partial(bool, task.answers))
            task.ends()
            assert (await system.ended(job)).state is JobState.COMPLETED
