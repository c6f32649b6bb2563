"""What Longhaul's own tools say of jobs; a result is the tool's own. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mcp.shared.exceptions import MCPError

from common.jobs.head import Head
from common.jobs.output import OutputEntry
from common.jobs.state import JobState
from ingress.mcp.answers import JOB, answer_of, job_facts, tool_error
from ingress.mcp.own_tools import RESULT, WAIT
from ingress.mcp.task_views import TaskView, error_of, status_of
from ingress.operations.output import Said

OUTPUT = "longhaul/output"

End = tuple[Head, Any]  # the record, and its stored result or error


def report(over: Sequence[End], going: Sequence[str], now: int) -> dict[str, Any]:
    """`going` says of each job that has not ended how it stands."""
    if len(over) == 1 and not going:
        head, body = over[0]
        answer = _answer(head, body, now)
        meta = answer.get("_meta")
        kept = meta if isinstance(meta, Mapping) else {}
        return {**answer, "_meta": {**kept, JOB: job_facts(head)}}
    content: list[Any] = []
    failed = False
    for head, body in over:
        answer = _answer(head, body, now)
        failed = failed or answer.get("isError") is True
        content += [_text(f"Job {head.id} ({head.tool}) has ended:"), *answer.get("content", ())]
    content += [_text(text) for text in going]
    return {"content": content, **({"isError": True} if failed and not going else {})}


def running_text(task: TaskView, head: Head) -> str:
    text = f"Job {head.id} ({head.tool}) has not ended: {task.message}."
    if head.state is JobState.INPUT_REQUIRED:
        return f"{text} A person can answer: longhaul jobs answer {head.id}."
    return f'{text} Call {WAIT} with {{"ids": ["{head.id}"]}} to wait for its result.'


def output_so_far(task: TaskView, said: Said) -> dict[str, Any]:
    """How a job stands that has not ended, and what its tool said after a cursor."""
    text = running_text(task, said.head)
    if said.entries or said.dropped:
        more = "There is more; what" if said.more else "What"
        text = (
            f"{text} {more} it says after this is told by {RESULT} with "
            f'{{"id": "{said.head.id}", "cursor": "{said.cursor}"}}.'
        )
    content = [_text(text)]
    if said.entries:
        content.append(_text(output_text(said.entries, said.dropped)))
    entries = [_entry(each) for each in said.entries]
    output = {"cursor": str(said.cursor), "entries": entries, "dropped": said.dropped}
    return {"content": content, "_meta": {OUTPUT: output, JOB: job_facts(said.head)}}


def output_text(entries: Sequence[OutputEntry], dropped: int) -> str:
    """Messages on lines of their own, the tool's text as it was; pieces of it joined."""
    text = f"[{dropped} earlier entries are kept no more]\n" if dropped else ""
    tried = entries[0].tried
    for entry in entries:
        own_line = entry.kind != "text" or entry.tried != tried
        if own_line and text and not text.endswith("\n"):
            text += "\n"
        if entry.tried != tried:
            text += f"[try {entry.tried}]\n"
            tried = entry.tried
        level = f"{entry.level}: " if entry.level else ""
        text += entry.text if entry.kind == "text" else f"{level}{entry.text}\n"
    return text.removesuffix("\n")


def _entry(entry: OutputEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "number": entry.number,
        "at": entry.at,
        "tried": entry.tried,
        "kind": entry.kind,
        "text": entry.text,
    }
    names = {"level": entry.level, "logger": entry.logger}
    return shown | {name: value for name, value in names.items() if value}


def cancelled_text(head: Head, *, done: bool) -> dict[str, Any]:
    said = "is cancelled" if done else f"had already ended ({head.state}); nothing was changed"
    return {"content": [_text(f"Job {head.id} ({head.tool}) {said}.")]}


def listed(jobs: Sequence[tuple[Head, TaskView]], cursor: str | None, tool: str) -> dict[str, Any]:
    lines = [
        f"{head.id} {head.tool} {_standing(head, task)} (since {_moment(head.created_at)})"
        for head, task in jobs
    ]
    if not lines:
        lines = ["You have no jobs."]
    if cursor is not None:
        lines.append(f'There are more: call {tool} with {{"cursor": "{cursor}"}}.')
    return {"content": [_text("\n".join(lines))]}


def _standing(head: Head, task: TaskView) -> str:
    """Its state in the job's own words; that it may be lost is told once that is sure."""
    state: str = task.status
    if state == "working":
        state = JobState.RUNNING if head.state is JobState.LOST else head.state
    return task.message if task.message.startswith(state) else f"{state}: {task.message}"


def _answer(head: Head, body: Any, now: int) -> Mapping[str, Any]:
    status = status_of(head, now)
    if status == "failed":
        error = error_of(head, body)
        return tool_error(f"Job {head.id} failed: {error['message']} (code {error['code']})")
    if status == "cancelled":
        return tool_error(f"Job {head.id} was cancelled: {head.reason}")
    try:
        return answer_of(head.state, body, head.id)
    except MCPError as error:
        return tool_error(error.error.message)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
