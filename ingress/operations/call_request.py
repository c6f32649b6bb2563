"""A call as a caller made it, over any face, and what becomes of it once it is accepted. Pure."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from common.catalogue import CatalogueTool
from common.jobs.attaching import attach_key
from common.jobs.callbacks import CALLBACKS
from common.jobs.change import WATCH_END
from common.jobs.head import Head, Spec, StoredCall
from common.jobs.held import RunAt
from common.jobs.transitions import Submission
from common.routing.rules import ToolPolicy
from common.values import value_type

LARGEST_PREVIEW = 2**31  # bytes; no record keeps as many


@value_type(frozen=True, slots=True, kw_only=True)
class CallRequest:
    tool: str  # as exposed
    arguments: Mapping[str, Any] | None
    caller: str
    request_id: str
    priority: int | None = None  # 0-9; None: the tool's
    meta: Mapping[str, Any] = field(default_factory=dict)  # the caller's, to pass on
    client_capabilities: Mapping[str, Any] = field(default_factory=dict)
    log_level: str | None = None
    preview: int | None = None  # bytes of a large result that its client takes; None: any client's
    attachable: bool = False  # an identical call may come for its job later
    fresh: bool = False  # it wants a job of its own, whatever there is
    affinity: str = ""  # goes where the calls of the same word went; empty: of the same caller
    key: str = ""  # the caller's idempotency key; one that `is_key` accepts
    callback: str = ""  # the URL that is told of its end
    replay_of: str = ""  # the dead letter that it runs again
    replayed_by: str = ""  # who asked for that
    checkpoint: bytes | None = None  # of that letter, to begin from
    run_at: RunAt | None = None  # None: at once

    @property
    def reachable(self) -> bool:
        """Its caller finds the job again, or is told of its end, without this connection."""
        return bool(self.key or self.callback) or self.run_at is not None


@value_type(frozen=True, slots=True, kw_only=True)
class Accepted:
    job: str
    tool: CatalogueTool
    policy: ToolPolicy
    priority: int
    attached: bool = False  # to a job that was there before
    held: bool = False  # for later: it has no token yet, and its caller is told the id
    new: bool = True  # no such job was there before
    given_out: bool = False  # somebody was told the job's id, or is about to be
    head: Head | None = None  # as its record began, for who is told of it at once

    @classmethod
    def of(cls, job: str, request: CallRequest, tool: CatalogueTool, policy: ToolPolicy) -> Self:
        priority = policy.priority if request.priority is None else request.priority
        held = request.run_at is not None
        return cls(job=job, tool=tool, policy=policy, priority=priority, held=held)


def submission_of(
    request: CallRequest,
    accepted: Accepted,
    *,
    holder: str,
    watcher: str,
    arguments_blob: str = "",
) -> Submission:
    """The record to be; everything that decides about it later is frozen here.

    With a blob of its arguments they are not with the call.
    """
    policy = accepted.policy
    spec = _spec_of(request, accepted, arguments_blob)
    return Submission(
        tool=accepted.tool.name,
        queue=policy.queue,
        caller=request.caller,
        spec=spec,
        call=_call_of(request, apart=bool(arguments_blob)),
        queue_ms=spec.queue_ms,
        deadline_ms=_ms(policy.clocks.deadline),
        holder=holder,
        watcher=",".join(filter(None, (watcher, _told(request)))),
        checkpoint=request.checkpoint,
    )


def _told(request: CallRequest) -> str:
    return CALLBACKS + WATCH_END if request.callback else ""


def _spec_of(request: CallRequest, accepted: Accepted, arguments_blob: str) -> Spec:
    tool, policy = accepted.tool, accepted.policy
    repeatable, repeatable_from = repeatable_of(tool, policy.repeatable)
    return Spec(
        backend=tool.backend,
        backend_tool=tool.backend_tool,
        tool_version=tool.version,
        priority=accepted.priority,
        attempts=policy.retry.attempts,
        retry_first_ms=_ms(policy.retry.first),
        retry_max_ms=_ms(policy.retry.max),
        retry_tool_errors=policy.retry.on_tool_error,
        queue_ms=_ms(policy.clocks.queue),
        idle_ms=_ms(policy.clocks.idle),
        run_ms=_ms(policy.clocks.run),
        repeatable=repeatable,
        repeatable_from=repeatable_from,
        keep=policy.on_disconnect == "keep" or request.reachable,
        request_id=request.request_id,
        answer_ms=_ms(policy.questions.deadline),
        default_answer=policy.questions.default,
        arguments_blob=arguments_blob,
        attach=_attach_key(request, accepted),
        replay_of=request.replay_of,
        outbox=tool.wants_outbox,
        preview=-1 if request.preview is None else min(request.preview, LARGEST_PREVIEW),
        callback=request.callback,
        affinity=request.affinity,
    )


def _call_of(request: CallRequest, *, apart: bool) -> StoredCall:
    return StoredCall(
        arguments=None if apart else request.arguments,
        meta=request.meta,
        client_capabilities=request.client_capabilities,
        log_level=request.log_level,
    )


def _attach_key(request: CallRequest, accepted: Accepted) -> str:
    if request.reachable or not (request.attachable and accepted.policy.attach):
        return ""
    tool = accepted.tool
    return attach_key(request.caller, tool.name, tool.version, request.arguments)


def repeatable_of(tool: CatalogueTool, operator: bool | None) -> tuple[bool, str]:
    """The operator's word, else the annotations of a trusted backend, else no (DESIGN 6)."""
    if operator is not None:
        return operator, "operator"
    if tool.trusted and tool.annotated_repeatable:
        return True, "annotations"
    return False, "default"


def _ms(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1000)
