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
from ingress.mcp.listing import PAGE, Listing

SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def catalogue(tools: list[dict[str, Any]], bad: dict[str, str] | None = None) -> Catalogue:
    listing = {"tools": tools, "bad_headers": list((bad or {}).items())}
    entry = catalogue_entry(backend="b", started_at=1, trusted=False, listing=listing)
    return build_catalogue([entry], namespaces=True)


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def test_a_definition_goes_verbatim_under_the_exposed_name() -> None:
    definition = tool("t", **{"x-vendor": None, "annotations": {"odd": 1}, "_meta": {"k": "v"}})
    known = catalogue([{**definition, "execution": {"taskSupport": "required"}}])
    for modern in (True, False):
        (shown,) = Listing(known, modern=modern).page(None)["tools"]
        assert shown == {**definition, "name": "b__t"}


def test_a_tool_with_a_bad_header_is_not_shown_to_modern_clients() -> None:
    known = catalogue([tool("good"), tool("bad")], {"bad": "not a token"})
    names = [
        [each["name"] for each in Listing(known, modern=modern).page(None)["tools"]]
        for modern in (True, False)
    ]
    assert names == [["b__good"], ["b__good", "b__bad"]]


def test_a_modern_list_is_stamped_and_never_for_sharing() -> None:
    page = Listing(catalogue([]), modern=True).page(None)
    assert page["resultType"] == "complete"
    assert page["cacheScope"] == "private"
    assert page["ttlMs"] > 0
    assert page["_meta"][SERVER_INFO]["name"] == "longhaul"
    assert Listing(catalogue([]), modern=False).page(None) == {"tools": []}


def test_pages_hold_every_tool_once_and_in_order() -> None:
    names = [f"t{number}" for number in range(2 * PAGE + 1)]
    listing = Listing(catalogue([tool(name) for name in names]), modern=False)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = listing.page(cursor)
        assert len(page["tools"]) <= PAGE
        seen += [each["name"] for each in page["tools"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            break
    assert seen == [f"b__{name}" for name in names]


def test_a_cursor_outlives_a_change_before_it() -> None:
    names = [f"t{number}" for number in range(PAGE + 2)]
    cursor = Listing(catalogue([tool(name) for name in names]), modern=False).page(None)[
        "nextCursor"
    ]
    fewer = Listing(catalogue([tool(name) for name in names[5:]]), modern=False)
    assert [each["name"] for each in fewer.page(cursor)["tools"]] == ["b__t200", "b__t201"]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "AAAA", "é"])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(MCPError) as refusal:
        Listing(catalogue([tool("t")]), modern=True).page(cursor)
    assert refusal.value.code == -32602


RESULT = {
    "content": [{"type": "hologram", "odd": None}],
    "structuredContent": [1],
    "vendor": {"x": 1},
    "_meta": {"acme/x": 1, SERVER_INFO: {"name": "backend"}},
}


def test_a_modern_result_is_verbatim_but_for_who_served_it() -> None:
    shaped = shaped_result(RESULT, modern=True)
    assert shaped.pop("resultType") == "complete"
    assert shaped["_meta"].pop(SERVER_INFO)["name"] == "longhaul"
    assert shaped == {**RESULT, "_meta": {"acme/x": 1}}


def test_a_legacy_result_has_nothing_of_the_newer_era() -> None:
    assert shaped_result({**RESULT, "resultType": "complete"}, modern=False) == {
        **RESULT,
        "_meta": {"acme/x": 1},
    }
    only_stamp = {"content": [], "_meta": {SERVER_INFO: {}}}
    assert shaped_result(only_stamp, modern=False) == {"content": []}


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
