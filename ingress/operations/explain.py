"""Why a job is where it is, in one sentence for a person. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

from common.jobs.head import Head
from common.jobs.questions import Round
from common.jobs.state import JobState
from ingress.operations.asked import asked_words
from ingress.operations.fleet import Fleet

_WAITS = frozenset({JobState.HELD, JobState.QUEUED, JobState.WAITING, JobState.INPUT_REQUIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What decides about a job besides its record."""

    now: int  # ms
    fleet: Fleet
    position: int | None = None  # how many jobs start before it; None: not in a queue
    broker_down_since: float | None = None  # seconds since the epoch
    asked: Round | None = None  # what its tool wants to know


def waiting_because(head: Head, situation: Situation) -> str | None:
    """Why it does not run; None for a job that runs or has ended."""
    return why(head, situation) if head.state in _WAITS else None


def hindrance(head: Head, situation: Situation) -> str:
    """Why it would not begin even if it were the next one; empty: it would, or it has begun."""
    if head.newer or head.state not in {JobState.HELD, JobState.QUEUED}:
        return ""
    return _broker(situation) or _nobody(head, situation)


def why(head: Head, situation: Situation) -> str:
    if head.newer and not head.terminal:
        return "a newer Longhaul looks after it; this process cannot tell more"
    match head.state:
        case JobState.HELD:
            return _held(head, situation)
        case JobState.QUEUED:
            return _queued(head, situation)
        case JobState.WAITING:
            return _between_tries(head, situation)
        case JobState.RUNNING:
            return _running(head, situation)
        case JobState.INPUT_REQUIRED:
            return asked_words(head, situation.asked)
        case JobState.CANCELLED if head.still_running:
            return f"cancelled ({head.reason}); the tool has not let go yet"
        case (
            JobState.COMPLETED
            | JobState.FAILED
            | JobState.CANCELLED
            | JobState.LOST
            | JobState.DEAD
        ):
            return head.reason or str(head.state)
        case unreachable:
            assert_never(unreachable)


def _held(head: Head, situation: Situation) -> str:
    if head.not_before > situation.now:
        left = _span(head.not_before - situation.now)
        return f"scheduled for {_moment(head.not_before)}, in {left}"
    blocked = (_broker(situation) or _nobody(head, situation)) if head.window else ""
    return blocked or head.reason or "held back until its turn comes"


def _queued(head: Head, situation: Situation) -> str:
    blocked = _broker(situation) or _nobody(head, situation)
    if blocked:
        return blocked
    if head.not_before > situation.now:
        again = _span(head.not_before - situation.now)
        return f"{head.reason or 'it could not start yet'}; looked at again in {again}"
    return _in_line(head, situation)


def _between_tries(head: Head, situation: Situation) -> str:
    after = f"try {head.tries + 1} of {head.spec.attempts}"
    if head.not_before > situation.now:
        return f"{after} in {_span(head.not_before - situation.now)}: {head.reason}"
    blocked = _broker(situation) or _nobody(head, situation) or _in_line(head, situation)
    return f"{after} is due: {blocked}"


def _broker(situation: Situation) -> str:
    if situation.broker_down_since is None:
        return ""
    since = _time(situation.broker_down_since)
    return f"the broker is unreachable since {since}; the job is stored"


def _nobody(head: Head, situation: Situation) -> str:
    """Why no worker could take it, however long it waited."""
    if not any(situation.fleet.workers):
        return "no worker is running"
    backend = head.spec.backend
    if ordered := _ordered(head.queue, backend, situation.fleet):
        return ordered
    serving = situation.fleet.serving(head.queue)
    if not serving:
        if any(head.queue in worker.queues for worker in situation.fleet.workers):
            return f"every worker that carries queue {head.queue} is stopping"
        return f"no worker carries queue {head.queue}"
    replicas = situation.fleet.replicas(backend, serving)
    if not replicas:
        return f"no worker that carries queue {head.queue} runs backend {backend}"
    if any(replica.takes_calls for replica in replicas):
        return ""
    times = [each.breaker_until for each in replicas if each.breaker_until is not None]
    if times:
        until = _time(min(times))
        why_open = next(each.breaker_why for each in replicas if each.breaker_until == min(times))
        return f"backend {backend} gets no calls until {until}: {why_open}"
    if any(replica.state == "ready" for replica in replicas):
        return f"backend {backend} is about to be restarted"
    newest = max(replicas, key=lambda replica: replica.since)
    if newest.last_error:
        return f"backend {backend} is not up on any worker: {newest.last_error}"
    return f"backend {backend} is not up on any worker: {newest.state}"


def _ordered(queue: str, backend: str, fleet: Fleet) -> str:
    pause, order = fleet.paused(queue), fleet.disabled(backend)
    if pause is not None:
        return f"queue {queue} is paused by {pause.by} since {_time(pause.at / 1000)}"
    if order is not None:
        return f"backend {backend} is disabled by {order.by} since {_time(order.at / 1000)}"
    return ""


def _time(seconds: float) -> str:
    """Of the day, of a moment since the epoch."""
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"


def _moment(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _in_line(head: Head, situation: Situation) -> str:
    slots = situation.fleet.slots(head.queue)
    full = slots.busy >= slots.slots > 0
    all_busy = "its slot is busy" if slots.slots == 1 else f"all {slots.slots} slots are busy"
    if situation.position is None:
        return f"in queue {head.queue}"
    if situation.position > 0:
        jobs = "1 job" if situation.position == 1 else f"{situation.position} jobs"
        return f"queued behind {jobs}" + (f"; {all_busy}" if full else "")
    if full:
        return f"next in queue {head.queue}; {all_busy}"
    if head.confirmed < head.generation:
        return "the broker has not confirmed its token yet"
    return f"next in queue {head.queue}; a worker is about to take it"


def _running(head: Head, situation: Situation) -> str:
    owner = next((each for each in situation.fleet.processes if each.lease == head.owner), None)
    if owner is None:
        return f"worker {head.owner} has not been heard of lately; it is decided when that is sure"
    span = _span(situation.now - head.started_at)
    attempt = f"try {head.tries} of {head.spec.attempts}"
    return f"running for {span} on {owner.host or owner.lease} (pid {owner.pid}), {attempt}"


def _span(ms: int) -> str:
    """A stretch of time as people say it: `14 s`, `3 min`, `2 h 5 min`, `40 d`."""
    seconds = max(0, round(ms / 1000))
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} d"
