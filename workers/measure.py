"""What a worker counts of its runs, in the words of `common.telemetry.metrics`."""

from common.jobs.change import Change
from common.jobs.decisions import Adopt, BuryToken, Reaction, Release, Rescue
from common.jobs.head import Head
from common.telemetry.metrics import CallFault, DropReason, Metrics
from workers import outcome as ended
from workers.backends.base import Verdict
from workers.outcome import Outcome
from workers.retrying import RETRIES


def count_start(metrics: Metrics, head: Head) -> None:
    """A claim was won; only the first tells how long the job has waited."""
    series = metrics.runs_of(head.tool, head.spec.backend)
    if head.claims == 1:
        series.wait_seconds.observe((head.started_at - head.came_at) / 1000)
    series.calls.inc()


def count_end(metrics: Metrics, head: Head, outcome: Outcome, seconds: float) -> None:
    metrics.runs_of(head.tool, head.spec.backend).run_seconds.observe(seconds)
    fault = fault_of(outcome)
    if fault is not None:
        metrics.backend_errors.labels(
            tool=head.tool, backend=head.spec.backend, error=str(fault)
        ).inc()


def count_settled(
    metrics: Metrics, head: Head, outcome: Outcome, change: Change, *, over: bool
) -> None:
    """What followed from a run; `over`: its retry waits longer than it would by itself."""
    metrics.runs_of(head.tool, head.spec.backend).settled(change.name).inc()
    metrics.count_letter(change.name)
    if change.name in RETRIES:
        backend = head.spec.backend
        metrics.retries.labels(backend=backend, error=str(fault_of(outcome))).inc()
        if over:
            metrics.retries_over_budget.labels(backend=backend).inc()


def fault_of(outcome: Outcome) -> CallFault | None:
    match outcome:
        case ended.Answered(tool_error=failed):
            return CallFault.TOOL if failed else None
        case ended.Refused():
            return CallFault.PROTOCOL
        case ended.NotReached():
            return CallFault.NOT_STARTED
        case ended.Overloaded():
            return CallFault.OVERLOADED
        case ended.Vanished() | ended.CutOff():
            return CallFault.CONNECTION_LOST
        case ended.TimedOut():
            return CallFault.TIMED_OUT
        case ended.Stopped():
            return CallFault.CANCELLED
        case ended.NotReady() | ended.Asked() | ended.Drained():
            return None


def verdict_of(outcome: Outcome) -> Verdict | None:
    """What a run has shown about its replica; None: nothing. Who answers has room, and works."""
    match outcome:
        case ended.Answered() | ended.Refused() | ended.Asked():
            return Verdict(None)
        case ended.Overloaded(why=why):
            return Verdict(why)
        case ended.NotReached(why=why) | ended.Vanished(why=why) | ended.CutOff(why=why):
            return Verdict(why)
        case ended.TimedOut(clock="idle" | "run" as clock):
            return Verdict(f"a call ran out of its {clock} time")
        case ended.NotReady() | ended.TimedOut() | ended.Stopped() | ended.Drained():
            return None


def count_drop(metrics: Metrics, reaction: Reaction) -> None:
    reason = _drop_reason(reaction)
    if reason is not None:
        metrics.tokens_dropped.labels(reason=reason).inc()


def _drop_reason(reaction: Reaction) -> DropReason | None:
    match reaction:
        case Adopt():
            return "adopted"
        case BuryToken():
            return "missing"
        case Rescue():
            return "elsewhere"
        case Release(why=why):
            return "ended" if why.startswith("already") else "stale"
        case _:
            return None
