"""`/v1/jobs/{id}/answer` over a real server and store; the test itself is the worker."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.jobs.asking import ask
from common.jobs.head import decode_call
from common.jobs.questions import ELICITATION, SAMPLING, next_round
from common.jobs.transitions import CALL
from tests.support.surfaces import Surface, surface

pytestmark = pytest.mark.anyio

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
FORM = {"method": ELICITATION, "params": {"message": "Sure?", "requestedSchema": SCHEMA}}
MODEL = {"method": SAMPLING, "params": {"messages": [], "maxTokens": 1}}
YES = {"action": "accept", "content": {"ok": True}}
STORY = {"role": "assistant", "content": {"type": "text", "text": "x"}, "model": "m"}


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as made:
        yield made


async def asking(rest: Surface) -> str:
    """A job that has asked two things; its caller has declared one of the kinds."""
    declared: dict[str, Any] = {"elicitation": {"form": {}}}
    job = str((await rest.submit(capabilities=declared))["id"])
    head = await rest.start(job)
    raw = await rest.runtime.store.part(job, CALL)
    assert raw is not None
    asked = next_round(
        None,
        {"sure": FORM, "story": MODEL},
        state="opaque",
        capabilities=decode_call(raw).client_capabilities,
        now=head.started_at,
    )
    await rest.commit(job, ask(head, asked, 3_600_000))
    return job


async def answered(rest: Surface, job: str, answers: Any) -> Any:
    return await rest.http.post(f"/v1/jobs/{job}/answer", json={"answers": answers})


async def test_a_job_shows_what_is_asked_of_whom_and_until_when(rest: Surface) -> None:
    job = await asking(rest)
    for shown in (
        (await rest.http.get(f"/v1/jobs/{job}")).json(),
        (await rest.http.get("/v1/jobs")).json()["jobs"][0],
    ):
        assert shown["state"] == "input_required"
        assert shown["input_requests"] == [
            {"key": "1.sure", "asked_of": "caller", **FORM},
            {"key": "1.story", "asked_of": "operator", **MODEL},
        ]
        assert shown["answer_by"].endswith("Z")
        assert "Sure? (1.sure), and 1 more; an answer is of use until" in shown["waiting_because"]
        assert shown["reason"] == shown["waiting_because"]


async def test_answers_one_by_one_until_it_goes_on(rest: Surface) -> None:
    job = await asking(rest)
    first = await answered(rest, job, {"1.sure": YES, "9.odd": YES})
    assert first.status_code == 200
    assert [each["key"] for each in first.json()["input_requests"]] == ["1.story"]
    again = await answered(rest, job, {"1.sure": {"action": "decline"}})
    assert again.json()["state"] == "input_required"
    last = (await answered(rest, job, {"1.story": STORY})).json()
    assert (last["state"], last["input_requests"], last["answer_by"]) == ("queued", None, None)
    late = await answered(rest, job, {"1.sure": YES})
    assert (late.status_code, late.json()["state"]) == (200, "queued")
    events = (await rest.http.get(f"/v1/jobs/{job}/events")).json()["events"]
    assert [each["name"] for each in events][2:] == ["asked", "answered_in_part", "answered"]


async def test_an_answer_that_does_not_fit_says_where(rest: Surface) -> None:
    job = await asking(rest)
    wrong = {"action": "accept", "content": {"ok": "perhaps"}}
    response = await answered(rest, job, {"1.story": STORY, "1.sure": wrong})
    assert response.status_code == 422
    problem = response.json()
    assert problem["type"] == "urn:longhaul:error:invalid-answer"
    assert "1.sure" in problem["detail"]
    assert "at ok" in problem["detail"]
    shown = (await rest.http.get(f"/v1/jobs/{job}")).json()
    assert len(shown["input_requests"]) == 2  # nothing of it was stored


@pytest.mark.parametrize("body", [{}, {"answers": []}, {"answers": {"1.sure": "yes"}}, {"x": 1}])
async def test_a_body_that_is_no_set_of_answers(rest: Surface, body: Any) -> None:
    job = await asking(rest)
    response = await rest.http.post(f"/v1/jobs/{job}/answer", json=body)
    assert response.status_code == 422
    assert response.json()["type"] == "urn:longhaul:error:invalid-request"


@pytest.mark.parametrize("job", ["nope", "0" * 22])
async def test_an_unknown_job_is_not_found(rest: Surface, job: str) -> None:
    response = await answered(rest, job, {"1.sure": YES})
    assert response.status_code == 404
    assert response.json()["type"] == "urn:longhaul:error:not-found"
