"""What is sent: the body of a callback, and headers that sign it as Standard Webhooks has it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from standardwebhooks import Webhook

from common.jobs.callbacks import message_id
from common.jobs.head import Head
from common.jobs.state import JobState

INLINE = 64 * 1024  # bytes of a result that travels in the body
USER_AGENT = "longhaul-callback"


def body_of(
    head: Head,
    result: bytes | None,
    public_url: str | None,
    counts: Mapping[str, int] | None = None,
) -> bytes:
    """`result` is the stored result or error of a job that has one, as JSON; the same each time.

    `counts` are a batch's rows by how they ended.
    """
    data: dict[str, Any] = {
        "id": head.id,
        "tool": head.tool,
        "state": head.state,
        "tool_error": head.tool_error,
        "reason": head.reason,
        "created_at": rfc3339(head.created_at),
        "finished_at": rfc3339(head.finished_at),
    }
    if counts is not None:
        data["counts"] = counts
        data["results_url"] = f"{(public_url or '').rstrip('/')}/v1/batches/{head.id}/results"
        return _dumped("batch", head, data)
    if head.spec.replay_of:
        data["replay_of"] = head.spec.replay_of
    if head.state is not JobState.COMPLETED:
        data["error"] = None if result is None else orjson.Fragment(result)
    elif result is not None and not head.result_blob and len(result) <= INLINE:
        data["result"] = orjson.Fragment(result)
    else:
        data["result_url"] = f"{(public_url or '').rstrip('/')}/v1/jobs/{head.id}/result"
    return _dumped("job", head, data)


def _dumped(kind: str, head: Head, data: Mapping[str, Any]) -> bytes:
    told = {"type": f"{kind}.{head.state}", "timestamp": rfc3339(head.finished_at), "data": data}
    return orjson.dumps(told)


def headers_of(head: Head, body: bytes, secrets: Sequence[str], now: float) -> Mapping[str, str]:
    """One signature for each secret: receivers that know the old or the new one both take it."""
    name, at = message_id(head), int(now)
    signed = [
        Webhook(secret).sign(name, datetime.fromtimestamp(at, UTC), body.decode())
        for secret in secrets
    ]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signed),
    }


def rfc3339(ms: int) -> str:
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
