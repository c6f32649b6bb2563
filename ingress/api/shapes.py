"""The JSON of the REST interface. Fields are added, never renamed."""

from typing import Annotated, Any, Literal

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field

from common.jobs.idempotency import KEY_PATTERN
from common.jobs.state import JobState

Priority = Annotated[int, Field(ge=0, le=9, description="0 to 9; the highest starts first")]
LONGEST_WAIT = 300  # seconds of one request
Wait = Annotated[float, Field(ge=0, le=LONGEST_WAIT, description="seconds to wait for the end")]


IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=f"^{KEY_PATTERN}$",
        description="same key, same call: same job, as long as its record is kept",
    ),
]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewCallback(Shape):
    url: str = Field(min_length=1, examples=["https://example.com/hooks/longhaul"])


class Callback(Shape):
    url: str = Field(description="without its query")
    state: Literal["none", "pending", "delivered", "failed"] = Field(description="none: no end yet")
    tries: int
    next_try_at: str | None = Field(description="while it is pending")
    last_error: str | None
    delivered_at: str | None


class NewJob(Shape):
    """One tool call."""

    tool: str = Field(description="as `/v1/tools` names it", examples=["exporter__export_rows"])
    arguments: dict[str, Any] | None = Field(default=None, examples=[{"rows": 100}])
    priority: Priority | None = Field(default=None, description="0 to 9; default: the tool's")
    capabilities: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="questions of the tool that you will answer, as MCP's client capabilities",
        examples=[{"elicitation": {"form": {}}}],
    )
    callback: NewCallback | None = Field(default=None, description="told of its end, by a POST")
    preview: int | None = Field(
        default=None, ge=0, description="bytes of a large result to show; default: the router's"
    )
    wait: Wait = Field(default=0, description="seconds to wait for the end before answering")
    run_at: str | None = Field(
        default=None,
        description="not before this time, RFC 3339 with a zone; a past one is at once",
        examples=["2026-12-31T23:00:00Z"],
    )
    delay: Annotated[float, Field(strict=True)] | str | None = Field(
        default=None, description="not before so many seconds, or 10m", examples=["10m"]
    )


class Progress(Shape):
    value: float
    total: float | None = None
    message: str | None = None


class Checkpoint(Shape):
    at: str = Field(description="when it was stored; RFC 3339")
    bytes: int


class WholeResult(Shape):
    size: int = Field(description="bytes")
    sha256: str
    path: str = Field(description="here, whole or with a `Range`")
    uri: str = Field(description="as a resource over MCP")


class JobError(Shape):
    """A JSON-RPC error object."""

    model_config = ConfigDict(extra="allow", frozen=True)
    code: int
    message: str
    data: Any = None


class Question(Shape):
    key: str = Field(description="names it in an answer; never used twice")
    method: str = Field(
        description="elicitation/create, sampling/createMessage or roots/list of MCP"
    )
    params: dict[str, Any]
    asked_of: Literal["caller", "operator"] = Field(
        description="`operator`: the caller did not declare that it answers this kind"
    )


class Answers(Shape):
    """By the keys of `input_requests`. Unknown keys and what is answered already are ignored."""

    answers: dict[str, dict[str, Any]] = Field(
        description="a result of the method each, as MCP has it",
        examples=[{"1.name": {"action": "accept", "content": {"name": "Ada"}}}],
    )


class Job(Shape):
    id: str
    tool: str
    state: JobState
    priority: int
    queue: str
    caller: str
    tries: int = Field(description="runs that count against the limit")
    attempts: int = Field(description="that limit")
    repeatable: bool = Field(description="whether it may run again when its worker dies")
    repeatable_from: str = Field(
        description="who says so: operator (the configuration) | annotations (of a trusted "
        "backend's tool) | default"
    )
    created_at: str = Field(description="RFC 3339")
    run_at: str | None = Field(default=None, description="what it was scheduled for")
    started_at: str | None = Field(description="start of the newest run")
    finished_at: str | None
    progress: Progress | None
    checkpoint: Checkpoint | None = Field(
        default=None, description="the newest of its tool, from which its next try goes on"
    )
    files: int = Field(default=0, description="that its tool handed over; the result links to them")
    waiting_because: str | None = Field(description="why it does not run yet; null otherwise")
    reason: str = Field(description="why it is where it is, in one sentence")
    still_running: bool = Field(description="cancelled, but the tool has not let go yet")
    tool_error: bool = Field(description="the tool's own result says that it failed")
    result: Any = Field(
        default=None,
        description="the tool's result, verbatim, or its beginning and a link; not in lists",
    )
    whole_result: WholeResult | None = Field(
        default=None, description="where the whole is, when `result` is only its beginning"
    )
    error: JobError | None = Field(default=None, description="why there is no result")
    input_requests: list[Question] | None = Field(
        default=None, description="what its tool asks, as far as it is not answered"
    )
    answer_by: str | None = Field(
        default=None, description="until when an answer to that is of use; RFC 3339"
    )
    replay_of: str | None = Field(default=None, description="the dead letter that it runs again")
    replayed_as: str | None = Field(default=None, description="the job that runs it again")
    callback: Callback | None = Field(default=None, description="who is told of its end")


class Jobs(Shape):
    jobs: list[Job]
    cursor: str | None = Field(description="pass it on for the next page; null: there is none")


class JobEvent(Shape):
    number: int = Field(description="of a job's first event 1, of each other one more")
    at: str
    name: str
    facts: dict[str, Any]


class JobEvents(Shape):
    events: list[JobEvent]


class Tool(Shape):
    name: str
    backend: str
    title: str | None
    description: str | None
    queue: str
    priority: int
    repeatable: bool
    repeatable_from: str = Field(description="operator | annotations | default")
    version: str = Field(description="digest of its definition")
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    annotations: dict[str, Any] | None


class Tools(Shape):
    tools: list[Tool]


class Queue(Shape):
    name: str
    waiting: int
    oldest_seconds: float | None = Field(description="how long the oldest has waited")
    running: int = Field(description="busy slots, those of workers that are stopping among them")
    slots: int = Field(description="of the workers that take its jobs")
    workers: int
    ready_tokens: int | None = Field(description="at the broker; null: no such queue, or no broker")
    paused_since: str | None = Field(default=None, description="while an operator has it paused")


class Queues(Shape):
    queues: list[Queue]
    broker_unreachable_since: str | None


class WorkerSlots(Shape):
    slots: int
    busy: int


class Worker(Shape):
    id: str
    host: str
    pid: int
    version: str
    started_at: str | None
    last_beat_at: str | None
    queues: dict[str, WorkerSlots]
    backends: dict[str, str] = Field(description="backend: how many of its replicas are ready")
    address: str | None
    draining: bool = Field(description="it was asked to stop: it takes no more, and ends")


class Workers(Shape):
    workers: list[Worker]


class ReplicaOnWorker(Shape):
    worker: str
    host: str
    state: str
    since: str | None
    protocol_version: str | None
    in_flight: int
    restarts: int
    pid: int | None
    url: str | None
    last_error: str | None
    last_stderr: str | None
    breaker: str = Field(description="closed | open | half-open")
    breaker_until: str | None = Field(description="when it lets a call through, while it is open")
    breaker_why: str | None = Field(description="the newest failure, unless it is closed")
    failed_looks: int = Field(description="in a row; see `health` of the configuration")
    look_error: str | None
    retiring: str | None = Field(description="takes no calls and is started again, and why")


class Backend(Shape):
    name: str
    state: str = Field(
        description="ready | degraded | breaker open | down | starting | no worker | disabled"
    )
    disabled_by: str | None = Field(description="the operator who disabled it")
    disabled_since: str | None
    transport: str | None
    tools: int = Field(description="in the catalogue; they stay while no worker is up")
    replicas: list[ReplicaOnWorker]


class Backends(Shape):
    backends: list[Backend]
    collisions: list[str] = Field(description="tools that are not shown, and why")


class ForgottenBackend(Shape):
    name: str
    tools: int = Field(description="that are in the catalogue no longer")
    failed: int = Field(description="jobs of it that waited, and have failed")


class BackendLog(Shape):
    worker: str
    host: str
    lines: list[str] | None = Field(
        description="what its processes wrote to stderr, each line after a pid, the newest last; "
        "null: the worker did not answer"
    )


class BackendLogs(Shape):
    logs: list[BackendLog]


class Readiness(Shape):
    status: str = Field(description="ready | not ready")
    reasons: list[str]
    warnings: list[str]
