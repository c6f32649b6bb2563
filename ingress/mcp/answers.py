"""What a call is answered with, once its job has ended or its caller was held long enough. Pure."""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.catalogue import CatalogueTool
from common.errors import CANCELLED, OUTCOME_UNKNOWN, TOOL_FAILED
from common.jobs.head import Head
from common.jobs.state import JobState
from ingress.mcp.own_tools import CANCEL, JOBS, RESULT, WAIT

JOB = "longhaul/job"


def answer_of(state: JobState, body: Any, job: str) -> Mapping[str, Any]:
    """The tool's result, as stored; `body` is what the record keeps, None when that is nothing.

    Raises:
        MCPError: The job ended without a result.
    """
    if state is JobState.CANCELLED:
        raise MCPError(CANCELLED, f"job {job} was cancelled", {"job": job})
    if not isinstance(body, Mapping):
        raise MCPError(types.INTERNAL_ERROR, f"job {job} is {state}, its result is gone")
    if state is JobState.COMPLETED:
        return _result(body, job)
    if state is JobState.LOST:
        raise MCPError(OUTCOME_UNKNOWN, str(body["message"]), {"job": job})
    last = _last_result(state, body)
    if last is not None:
        return _result(last, job)
    raise MCPError(int(body["code"]), str(body["message"]), body.get("data"))


def _last_result(state: JobState, body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of a job whose every try ended with the tool's own error: that is what its caller gets."""
    data = body.get("data")
    if state is not JobState.DEAD or body.get("code") != TOOL_FAILED:
        return None
    last = data.get("result") if isinstance(data, Mapping) else None
    return last if isinstance(last, Mapping) else None


def _result(body: Mapping[str, Any], job: str) -> Mapping[str, Any]:
    if body.get("resultType", "complete") == "input_required":
        raise MCPError(
            types.INTERNAL_ERROR, f"the tool asked a question that cannot be passed on (job {job})"
        )
    return body


def tool_error(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def saying_attached(answer: Mapping[str, Any], job: str) -> dict[str, Any]:
    """The same answer; the job was there before, from an identical call."""
    meta = answer.get("_meta")
    kept = meta if isinstance(meta, Mapping) else {}
    return {**answer, "_meta": {**kept, JOB: {"id": job, "attached": True}}}


def input_required(state: str, requests: Mapping[str, Any]) -> dict[str, Any]:
    """`InputRequiredResult` of 2026-07-28: its client comes again, with answers to the requests."""
    asked = {"inputRequests": requests} if requests else {}
    return {"resultType": "input_required", "requestState": state, **asked}


def hand_off_answer(
    tool: CatalogueTool, head: Head, words: str, *, attached: bool = False
) -> dict[str, Any]:
    """The answer that carries a job id instead of a result; `words` say how it stands.

    A client that was promised structured content rejects a result without it unless it is an error.
    """
    structured = "outputSchema" in tool.definition
    stands = "scheduled" if head.state is JobState.HELD and head.not_before else "still running"
    begin = f"Not an error: {stands}" if structured else stands.capitalize()
    before = "an identical call had started it; " if attached else ""
    text = (
        f"{begin} as job {head.id}: {before}{words}. It goes on by itself and its result is kept. "
        f"Do not call {tool.name} again for this. To wait for the result, call {WAIT} with "
        f'{{"ids": ["{head.id}"]}}; {RESULT} tells how it stands, {CANCEL} stops it, {JOBS} lists '
        f"your jobs. (A person can use: longhaul jobs wait {head.id}, longhaul jobs cancel "
        f"{head.id}.)"
    )
    answer: dict[str, Any] = {
        "content": [{"type": "text", "text": text}],
        "_meta": {JOB: {**job_facts(head), **({"attached": True} if attached else {})}},
    }
    if structured:
        answer["isError"] = True
    return answer


def job_facts(head: Head) -> dict[str, Any]:
    return {
        "id": head.id,
        "tool": head.tool,
        "state": str(head.state),
        "queue": head.queue,
        "priority": head.spec.priority,
        "tries": head.tries,
    }
