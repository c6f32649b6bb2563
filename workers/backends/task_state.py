"""Reading what backends say of their own tasks, in either dialect. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp_types import INTERNAL_ERROR, MISSING_REQUIRED_CLIENT_CAPABILITY

from workers.backends.base import ProtocolFailure
from workers.backends.envelope import TASKS_EXTENSION
from workers.backends.handshake import Agreed

CORE_TASKS = "2025-11-25"  # the one version that has tasks of its own
PAUSE = 1.0  # seconds between two looks, where the backend asks for nothing else
SHORTEST_PAUSE = 0.1  # seconds, whatever it asks for
LONGEST_PAUSE = 30.0  # seconds
NAME_LIMIT = 1_000  # characters; a task's name is kept in the head of a record
RELATED = "io.modelcontextprotocol/related-task"  # in `_meta`: a task of that connection, not ours

_STATUSES = frozenset({"working", "input_required", "completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """What a backend says of its task."""

    task: str
    status: str
    message: str | None
    pause: float  # seconds until the next look
    body: Mapping[str, Any]


def read_state(body: Mapping[str, Any]) -> TaskState:
    task, status, message = body.get("taskId"), body.get("status"), body.get("statusMessage")
    named = isinstance(task, str) and 0 < len(task) <= NAME_LIMIT
    if not isinstance(task, str) or not named or status not in _STATUSES:
        raise ProtocolFailure(INTERNAL_ERROR, "the backend's task cannot be read")
    asked = body.get("pollIntervalMs", body.get("pollInterval"))
    seconds = asked / 1000 if isinstance(asked, int | float) and asked >= 0 else PAUSE
    return TaskState(
        task=task,
        status=status,
        message=message if isinstance(message, str) else None,
        pause=min(max(seconds, SHORTEST_PAUSE), LONGEST_PAUSE),
        body=body,
    )


def result_in(state: TaskState) -> dict[str, Any]:
    result = state.body.get("result")
    if not isinstance(result, dict):
        raise ProtocolFailure(INTERNAL_ERROR, "the backend's task has ended without a result")
    return result


def cancelled_there() -> ProtocolFailure:
    return ProtocolFailure(INTERNAL_ERROR, "the backend's task was cancelled there")


def unrelated(result: dict[str, Any]) -> dict[str, Any]:
    """The tool's own result, without the name of a task that its caller does not know."""
    meta = result.get("_meta")
    if not isinstance(meta, dict) or RELATED not in meta:
        return result
    rest = {key: value for key, value in meta.items() if key != RELATED}
    kept = {key: value for key, value in result.items() if key != "_meta"}
    return {**kept, "_meta": rest} if rest else kept


def has_core_tasks(agreed: Agreed) -> bool:
    found: object = agreed.capabilities
    for name in ("tasks", "requests", "tools", "call"):
        found = found.get(name) if isinstance(found, dict) else None
    return agreed.version == CORE_TASKS and found is not None


def requires_task(tool: Mapping[str, Any]) -> bool:
    execution = tool.get("execution")
    return isinstance(execution, dict) and execution.get("taskSupport") == "required"


def needs_extension(error: ProtocolFailure) -> bool:
    if error.code != MISSING_REQUIRED_CLIENT_CAPABILITY or not isinstance(error.data, dict):
        return False
    needed = error.data.get("requiredCapabilities")
    extensions = needed.get("extensions") if isinstance(needed, dict) else None
    return isinstance(extensions, dict) and TASKS_EXTENSION in extensions
