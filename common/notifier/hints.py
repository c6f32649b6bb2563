"""What a hint to a watcher of a job says; both stores write it, the ingress reads it."""

from typing import Any

from common.values import value_type
from common.wire import dump_json, load_json

INLINE_RESULT = 65_536  # bytes; a larger result is read from the store


@value_type(frozen=True, slots=True, kw_only=True)
class JobHint:
    """A job changed, progressed, or said something.

    `kind` is `state` (a commit; `result` may carry the result of a completed or failed job),
    `progress` (`body` is [value, total, message]) or `log` (`body` is the message's params).
    """

    kind: str
    job: str
    state: str = ""
    version: int = 0
    body: Any = None
    result: bytes | None = None


def encode_hint(hint: JobHint) -> bytes:
    head = dump_json([hint.kind, hint.job, hint.state, hint.version, hint.body])
    return head if hint.result is None else head + b"\n" + hint.result


def decode_hint(raw: bytes) -> JobHint:
    """The Lua of the Redis store and `encode_hint` write the same form: a JSON line, a result."""
    line, separator, result = raw.partition(b"\n")
    kind, job, state, version, body = load_json(line)
    return JobHint(
        kind=kind,
        job=job,
        state=state,
        version=version,
        body=body,
        result=result if separator else None,
    )
