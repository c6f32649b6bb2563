"""Lists, results and errors as each era gets them; what is not ours stays as the backend said."""

from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from common.catalogue import Catalogue, CatalogueTool, build_catalogue, catalogue_entry
from common.errors import (
    CANCELLED,
    OUTCOME_UNKNOWN,
    LonghaulError,
    NotFoundError,
    RefusedError,
    StoreUnreachableError,
)
from common.jobs.head import Head, Spec
from common.jobs.state import JobState
from ingress.mcp.answers import answer_of, hand_off_answer
from ingress.mcp.eras import shaped_result
from ingress.mcp.errors import wire_error

SERVER_INFO = "io.modelcontextprotocol/serverInfo"

MODERN, LEGACY = "2026-07-28", "2025-11-25"


def catalogue(tools: list[dict[str, Any]], bad: dict[str, str] | None = None) -> Catalogue:
    listing = {"tools": tools, "bad_headers": list((bad or {}).items())}
    entry = catalogue_entry(backend="b", started_at=1, trusted=False, listing=listing)
    return build_catalogue([entry], namespaces=True)


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


RESULT = {
    "content": [{"type": "hologram", "odd": None}],
    "structuredContent": [1],
    "vendor": {"x": 1},
    "_meta": {"acme/x": 1, SERVER_INFO: {"name": "backend"}},
}


def test_a_modern_result_is_verbatim_but_for_who_served_it() -> None:
    shaped = shaped_result(RESULT, MODERN)
    assert shaped.pop("resultType") == "complete"
    assert shaped["_meta"].pop(SERVER_INFO)["name"] == "longhaul"
    assert shaped == {**RESULT, "_meta": {"acme/x": 1}}


def test_a_legacy_result_has_nothing_of_the_newer_era() -> None:
    assert shaped_result({**RESULT, "resultType": "complete"}, LEGACY) == {
        **RESULT,
        "_meta": {"acme/x": 1},
    }
    only_stamp = {"content": [], "_meta": {SERVER_INFO: {}}}
    assert shaped_result(only_stamp, LEGACY) == {"content": []}


def test_an_error_of_the_backend_passes_as_it_was() -> None:
    body = {"code": -32602, "message": "no such city", "data": {"n": 2**70}}
    with pytest.raises(MCPError) as error:
        answer_of(JobState.FAILED, body, "j")
    assert error.value.error.model_dump() == body


@pytest.mark.parametrize(
    ("state", "body", "code"),
    [
        (JobState.CANCELLED, None, CANCELLED),
        (JobState.LOST, {"code": OUTCOME_UNKNOWN, "message": "outcome unknown"}, OUTCOME_UNKNOWN),
        (JobState.DEAD, {"code": -31002, "message": "gone"}, -31002),
        (JobState.COMPLETED, None, -32603),
        (JobState.COMPLETED, {"resultType": "input_required"}, -32603),
    ],
)
def test_a_job_without_a_result_is_an_error(state: JobState, body: Any, code: int) -> None:
    with pytest.raises(MCPError) as error:
        answer_of(state, body, "j")
    assert error.value.code == code


HEAD = Head(
    id="0abc",
    version=1,
    state=JobState.RUNNING,
    tool="t",
    queue="q",
    caller="c",
    spec=Spec(backend="b", backend_tool="t", tool_version="v", priority=4),
)


def exposed(**definition: Any) -> CatalogueTool:
    (found,) = catalogue([tool("t", **definition)]).tools.values()
    return found


def test_a_hand_off_names_the_job_and_how_to_go_on() -> None:
    answer = hand_off_answer(exposed(), HEAD, "running for 50 s")
    (content,) = answer["content"]
    assert content["text"].startswith("Still running as job 0abc: running for 50 s.")
    assert "longhaul jobs wait 0abc" in content["text"]
    assert "Do not call b__t again" in content["text"]
    assert answer["_meta"]["longhaul/job"]["id"] == "0abc"
    assert "isError" not in answer


def test_a_promise_of_structure_is_kept_by_being_an_error_that_is_none() -> None:
    answer = hand_off_answer(exposed(outputSchema={"type": "object"}), HEAD, "running")
    assert answer["isError"] is True
    assert answer["content"][0]["text"].startswith("Not an error: still running as job 0abc")


@pytest.mark.parametrize(
    ("error", "job", "code", "data"),
    [
        (NotFoundError("Unknown tool: x"), "", -32602, None),
        (
            RefusedError("full", retry_after=5.0),
            "j",
            -32603,
            {"retryable": True, "retryAfterMs": 5000},
        ),
        (RefusedError("too large"), "", -32603, {"retryable": False}),
        (
            StoreUnreachableError("away"),
            "",
            -32603,
            {"retryable": True, "retryAfterMs": 5000},
        ),
        (
            StoreUnreachableError("away", nothing_written=True),
            "j",
            -32603,
            {"retryable": True, "retryAfterMs": 5000},
        ),
        (StoreUnreachableError("away"), "j", -32603, {"retryable": False, "job": "j"}),
        (LonghaulError("secret"), "j", -32603, None),
    ],
)
def test_retryable_is_said_only_where_nothing_can_run(
    error: LonghaulError, job: str, code: int, data: Any
) -> None:
    said = wire_error(error, job)
    assert (said.code, said.data) == (code, data)
    assert "secret" not in said.message
