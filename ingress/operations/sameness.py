"""What makes two submissions one: a key, a dead letter, or the call itself. Pure."""

from common.jobs.change import Free, Guard, Replays, Unique
from common.jobs.idempotency import unique_key
from ingress.operations.call_request import CallRequest


def only_one(request: CallRequest, attach: str, passed_over: str) -> tuple[Guard, ...]:
    """That no job of this very call is there, and none that it attaches to."""
    if request.replay_of:
        return (Replays(request.replay_of, request.replayed_by),)
    if request.key:
        return (Unique(unique_key(request.caller, request.key)),)
    if attach and not request.fresh:
        return (Free(attach, besides=passed_over),)
    return ()
