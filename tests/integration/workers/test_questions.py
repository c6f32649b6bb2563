"""Questions of a 2026-07-28 backend: parked without a worker, answered by anybody who may."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.api_keys import Role
from common.config.model import Backend, Questions, ToolRule
from common.errors import InvalidAnswerError, NotFoundError
from common.jobs.questions import ELICITATION, ROOTS, SAMPLING
from common.jobs.state import JobState
from ingress.caller import Caller
from tests.support.backends.serving import program
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
from tests.support.ports import free_port
from tests.support.system import BACKENDS, OpenSystem

pytestmark = pytest.mark.anyio

PYTHON, PROGRAM = sys.executable, str(BACKENDS / "asking.py")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    port = free_port()
    with program("asking", port):
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture
def backend(url: str) -> Backend:
    return Backend(name="q", transport="http", urls=(url,))


async def test_a_parked_job_holds_nothing_and_goes_on_with_its_answer(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__greet", log=str(log))
        assert (head.state, head.owner, head.tries) == (JobState.INPUT_REQUIRED, "", 0)
        key = only_key(questions)
        assert key.startswith("1.")
        assert questions.requests[key]["params"]["message"] == "What is your name?"
        after = await answer(system, head.id, {key: ADA})
        assert after.state in {JobState.QUEUED, JobState.RUNNING}
        head = await system.ended(head.id)
        assert (head.state, head.tries, head.claims) == (JobState.COMPLETED, 1, 2)
        assert text(await system.result(head.id)) == "hello Ada"
        assert await system.events(head.id) == STORY_OF_TWO_LEGS
    assert lines(log) == ["greet"]


STORY_OF_TWO_LEGS = ["submitted", "claimed", "asked", "answered", "claimed", "completed"]


async def test_a_job_is_resumed_when_every_worker_was_another_since(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    async with system_on(backend) as system:
        async with system.worker() as first:
            head, questions = await asked(system, "q__blunt", log=str(tmp_path / "log"))
        state = questions.request_state
        assert state
        answers = {only_key(questions): {"action": "accept", "content": {"ok": True}}}
        assert (await answer(system, head.id, answers)).state is JobState.QUEUED
        async with system.worker() as second:
            head = await system.ended(head.id)
            assert head.state is JobState.COMPLETED
            assert first != second
    # Its own state came back to the backend byte for byte, or it would not have been unsealed.
    assert lines(tmp_path / "log") == ["blunt first", "blunt asked é/+="]


async def test_several_rounds_have_keys_of_their_own_and_cost_no_try(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    rules = {"q__rounds": ToolRule(repeatable=True)}
    async with system_on(backend, tools=rules) as system, system.worker():
        head, first = await asked(system, "q__rounds", log=str(tmp_path / "log"))
        await answer(system, head.id, {only_key(first): ADA})
        head, second = await open_round(system, head.id, 2)
        key = only_key(second)
        assert key.startswith("2.")
        assert "Ada" in second.requests[key]["params"]["message"]
        # A late answer to the first round is for nobody.
        await answer(system, head.id, {only_key(first): NO})
        red = {"action": "accept", "content": {"colour": "red"}}
        await answer(system, head.id, {key: red})
        head = await system.ended(head.id)
        assert (head.tries, head.claims) == (1, 3)
        assert text(await system.result(head.id)) == "Ada likes red"


async def test_three_kinds_at_once_are_answered_one_by_one(
    system_on: OpenSystem, backend: Backend
) -> None:
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__survey")
        keys = {each["method"]: key for key, each in questions.requests.items()}
        assert keys.keys() == {ELICITATION, SAMPLING, ROOTS}
        after = await answer(system, head.id, {keys[SAMPLING]: STORY})
        assert after.state is JobState.INPUT_REQUIRED
        left = await system.ingress.respond.open_round(after)
        assert left is not None
        assert left.answers.keys() == {keys[SAMPLING]}
        roots = {"roots": [{"uri": "file:///data"}]}
        await answer(system, head.id, {keys[ELICITATION]: ADA, keys[ROOTS]: roots})
        await system.ended(head.id)
        assert text(await system.result(head.id)) == "Ada: once in file:///data"


async def test_a_call_that_asks_nothing_goes_on_by_itself(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(backend) as system, system.worker():
        job = await system.submit("q__steps", log=str(log), count=3)
        head = await system.ended(job)
        assert text(await system.result(job)) == "3 steps"
        assert (head.tries, head.claims) == (1, 1)
    assert lines(log) == ["steps None", "steps 1", "steps 2", "steps 3"]


# --- who may answer what


async def test_forged_and_foreign_answers_move_nothing(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__blunt", log=str(tmp_path / "log"))
        other, _ = await asked(system, "q__blunt", log=str(tmp_path / "other"))
        key = only_key(questions)
        forged = {"9.ok": NO, "ok": NO, "": NO, f"{key}.": NO}
        assert (await answer(system, head.id, forged)).version == head.version
        for stranger in (Caller(name="stranger"), Caller(name="stranger", role=Role.ADMIN)):
            with pytest.raises(NotFoundError):
                await system.ingress.respond.answer(head.id, {key: NO}, stranger)
        with pytest.raises(NotFoundError):
            await answer(system, "0" * 22, {key: NO})
        # The very same key, and only the job it is said for.
        await answer(system, other.id, {key: NO})
        await system.ended(other.id)
        assert (await system.head(head.id)).version == head.version
        admin = Caller(name="stranger", role=Role.ADMIN)
        await system.ingress.respond.answer(head.id, {key: NO}, admin, operator=True)
        assert "decline" in text(await system.result((await system.ended(head.id)).id))
        late = await answer(system, head.id, {key: {"action": "cancel"}})
        assert late.state is JobState.COMPLETED


async def test_an_answer_against_the_schema_is_refused_and_not_stored(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__greet", log=str(tmp_path / "log"))
        key = only_key(questions)
        for odd in ({"name": 7}, {"name": "A"}, {}):
            wrong = {key: {"action": "accept", "content": odd}}
            with pytest.raises(InvalidAnswerError, match=key):
                await answer(system, head.id, wrong)
        assert (await system.head(head.id)).version == head.version
        await answer(system, head.id, {key: ADA})
        assert (await system.ended(head.id)).state is JobState.COMPLETED


async def test_what_the_caller_has_not_declared_is_asked_of_an_operator(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__blunt", {}, log=str(tmp_path / "log"))
        key = only_key(questions)
        assert questions.operator == (key,)
        assert (await answer(system, head.id, {key: NO})).version == head.version
        yes = {"action": "accept", "content": {"ok": True}}
        await answer(system, head.id, {key: yes}, operator=True)
        await system.ended(head.id)
        assert "'ok': True" in text(await system.result(head.id))


async def test_what_the_caller_cannot_be_asked_gets_the_default_at_once(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    yes = {"action": "accept", "content": {"ok": True}}
    async with system_on(backend, tools=rule(default=yes)) as system, system.worker():
        log = {"log": str(tmp_path / "log")}
        job = await system.submit_with("q__blunt", log, client_capabilities={})
        await system.ended(job)
        assert "'ok': True" in text(await system.result(job))
        assert await system.events(job) == ["submitted", "claimed", "completed"]


# --- time, and other ends


def rule(**questions: Any) -> dict[str, ToolRule]:
    return {"q__*": ToolRule(questions=Questions(**questions))}


@pytest.mark.parametrize(
    ("default", "said"),
    [
        (None, "decline"),
        ({"action": "accept", "content": {"ok": True}}, "'ok': True"),
        ({"action": "accept", "content": {"ok": "x"}}, "decline"),
    ],
)
async def test_nobody_answers_in_time(
    system_on: OpenSystem, backend: Backend, tmp_path: Path, default: Any, said: str
) -> None:
    tools = rule(deadline=0.2, default=default)
    async with system_on(backend, tools=tools) as system, system.worker():
        log = str(tmp_path / "log")
        job = await system.submit_with("q__blunt", {"log": log}, client_capabilities=ALL)
        head = await system.ended(job)
        assert (head.state, head.answer_by) == (JobState.COMPLETED, 0)
        assert said in text(await system.result(job))
        answered = [each for each in await system.store.events(job) if each.name == "answered"]
        assert [each.facts["in_time"] for each in answered] == [False]


async def test_a_kind_without_a_way_to_say_no_fails_the_job_with_the_reason(
    system_on: OpenSystem, backend: Backend
) -> None:
    async with system_on(backend, tools=rule(deadline=0.2)) as system, system.worker():
        job = await system.submit_with("q__survey", {}, client_capabilities=ALL)
        head = await system.ended(job)
        assert head.state is JobState.FAILED
        assert "was not answered: nobody answered it in time" in head.reason


async def test_a_job_that_waits_for_an_answer_is_cancelled_at_once(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    async with system_on(backend) as system, system.worker():
        head, questions = await asked(system, "q__greet", log=str(tmp_path / "log"))
        assert await system.cancel(head.id)
        head = await system.head(head.id)
        assert (head.state, head.still_running) == (JobState.CANCELLED, False)
        after = await answer(system, head.id, {only_key(questions): ADA})
        assert after.state is JobState.CANCELLED
    assert lines(tmp_path / "log") == []


async def test_the_jobs_own_deadline_ends_it_while_it_waits(
    system_on: OpenSystem, backend: Backend, tmp_path: Path
) -> None:
    tools = {"q__*": ToolRule.model_validate({"timeout": {"deadline": "1s"}})}
    async with system_on(backend, tools=tools) as system, system.worker():
        head, _ = await asked(system, "q__greet", log=str(tmp_path / "log"))
        head = await system.ended(head.id)
        assert (head.state, head.reason) == (
            JobState.FAILED,
            "its deadline passed while it waited",
        )


# --- a backend that does not take its own state back


@pytest.mark.parametrize("repeatable", [True, False])
async def test_an_expired_state(system_on: OpenSystem, tmp_path: Path, *, repeatable: bool) -> None:
    """Its process was another since: what may be repeated begins anew, with what is known."""
    tools = {"q__*": ToolRule(repeatable=repeatable)}
    stdio = Backend(name="q", command=PYTHON, args=(PROGRAM, "stdio"))
    log = tmp_path / "log"
    async with system_on(stdio, tools=tools) as system:
        async with system.worker():
            head, first = await asked(system, "q__rounds", log=str(log))
            await answer(system, head.id, {only_key(first): ADA})
            head, second = await open_round(system, head.id, 2)
        red = {"action": "accept", "content": {"colour": "red"}}
        await answer(system, head.id, {only_key(second): red})
        async with system.worker():
            head = await system.ended(head.id, seconds=20)
            result = await system.result(head.id)
    if repeatable:
        assert (head.state, text(result)) == (JobState.COMPLETED, "Ada likes red")
        assert lines(log) == ["rounds"]
    else:
        assert (head.state, result["code"]) == (JobState.FAILED, -32602)
        assert "does not take the state of its question back" in head.reason
        assert lines(log) == []
