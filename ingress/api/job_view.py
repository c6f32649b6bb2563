"""A job as the REST interface shows it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from common.blobs.base import Blob
from common.jobs.head import Head
from common.jobs.links import result_path, result_uri
from common.jobs.questions import Round, open_requests
from common.jobs.state import JobState
from common.store.base import Event
from common.wire import load_json
from ingress.api.shapes import (
    Callback,
    Checkpoint,
    Job,
    JobError,
    JobEvent,
    Progress,
    Question,
    WholeResult,
)
from ingress.callbacks.target import shown_url
from ingress.ingress import Ingress
from ingress.operations.explain import Situation, waiting_because, why

_IN_LINE = frozenset({JobState.QUEUED, JobState.WAITING, JobState.HELD})


async def show_job(ingress: Ingress, head: Head) -> Job:
    """With its result or error. Raises: StoreUnreachableError."""
    raw = await ingress.read.result(head) if head.terminal else None
    return job_shape(head, await situation_of(ingress, head), _Ended.of(head, raw))


async def show_jobs(ingress: Ingress, heads: Sequence[Head]) -> list[Job]:
    """Without results; where they stand in their queues is asked once for all."""
    await ingress.fleet.now()
    positions = await ingress.read.positions([head for head in heads if head.state in _IN_LINE])
    situations = await asyncio.gather(*(situation_of(ingress, head, positions) for head in heads))
    return [
        job_shape(head, situation, _Ended())
        for head, situation in zip(heads, situations, strict=True)
    ]


def show_event(event: Event) -> JobEvent:
    return JobEvent(
        number=event.number, at=rfc3339(event.at), name=event.name, facts=dict(event.facts)
    )


async def situation_of(
    ingress: Ingress, head: Head, positions: Mapping[str, int] | None = None
) -> Situation:
    """What decides about it now; `positions` of many. Raises: StoreUnreachableError."""
    if positions is None and head.state in _IN_LINE:
        positions = await ingress.read.positions([head])
    return Situation(
        now=round(ingress.runtime.clock.now() * 1000),
        fleet=await ingress.fleet.now(),
        position=(positions or {}).get(head.id),
        broker_down_since=ingress.runtime.broker.unreachable_since,
        asked=await ingress.respond.open_round(head),
    )


@dataclass(frozen=True, slots=True)
class _Ended:
    result: Any = None
    error: JobError | None = None

    @classmethod
    def of(cls, head: Head, raw: bytes | None) -> "_Ended":
        if raw is None:
            return cls()
        body = load_json(raw)
        if head.state is JobState.COMPLETED:
            return cls(result=body)
        return cls(error=JobError.model_validate(body))


def job_shape(head: Head, situation: Situation, ended: _Ended) -> Job:
    spec = head.spec
    return Job(
        id=head.id,
        tool=head.tool,
        state=head.state,
        priority=spec.priority,
        queue=head.queue,
        caller=head.caller,
        tries=head.tries,
        attempts=spec.attempts,
        repeatable=spec.repeatable,
        repeatable_from=spec.repeatable_from,
        created_at=rfc3339(head.created_at),
        run_at=rfc3339_or_none(head.run_at),
        started_at=rfc3339_or_none(head.started_at),
        finished_at=rfc3339_or_none(head.finished_at),
        progress=_progress(head.progress),
        checkpoint=checkpoint_of(head),
        files=head.files,
        waiting_because=waiting_because(head, situation),
        reason=why(head, situation),
        still_running=head.still_running,
        tool_error=head.tool_error,
        result=ended.result,
        whole_result=_whole(head),
        error=ended.error,
        input_requests=_questions(situation.asked),
        answer_by=rfc3339_or_none(head.answer_by),
        replay_of=spec.replay_of or None,
        replayed_as=head.replayed_as or None,
        callback=show_callback(head),
    )


def show_callback(head: Head) -> Callback | None:
    if not head.spec.callback:
        return None
    return Callback.model_validate(
        {
            "url": shown_url(head.spec.callback),
            "state": head.callback or "none",
            "tries": head.callback_tries,
            "next_try_at": rfc3339_or_none(head.callback_at),
            "last_error": head.callback_error or None,
            "delivered_at": rfc3339_or_none(head.callback_delivered_at),
        }
    )


def _questions(asked: Round | None) -> list[Question] | None:
    """What is open; null for a job that waits for no answer."""
    if asked is None:
        return None
    return [
        Question(
            key=key,
            method=request["method"],
            params=dict(request.get("params") or {}),
            asked_of="operator" if key in asked.operator else "caller",
        )
        for key, request in open_requests(asked, operator=True).items()
    ]


def _whole(head: Head) -> WholeResult | None:
    if not head.result_blob:
        return None
    blob = Blob.of(head.result_blob)
    return WholeResult(
        size=blob.size, sha256=blob.sha256, path=result_path(head.id), uri=result_uri(head.id)
    )


def checkpoint_of(head: Head) -> Checkpoint | None:
    if not head.checkpoint_bytes:
        return None
    return Checkpoint(at=rfc3339(head.checkpoint_at), bytes=head.checkpoint_bytes)


def rfc3339(ms: float) -> str:
    return (
        datetime.fromtimestamp(ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def rfc3339_or_none(ms: float) -> str | None:
    return rfc3339(ms) if ms else None


def _progress(noted: str) -> Progress | None:
    if not noted:
        return None
    value, total, message = load_json(noted.encode())
    return Progress(value=value, total=total, message=message)
