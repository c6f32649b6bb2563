"""Every metric, in one place. A label takes its values from a closed set or from configuration.

Two kinds. What the store knows of all processes together is measured when somebody asks an ingress
for `/metrics`, and is the same on each (take the maximum). What a process counts of its own work is
a counter or a histogram, and adds up over processes.

`tool` is an exposed name from the catalogue, never a name that a caller made up.
"""

from enum import StrEnum
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

_WAITS = (0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400)
_RUNS = (0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400)


class CallFault(StrEnum):
    """How a call to a backend ended when it brought no good result: the label `error`."""

    NOT_STARTED = "not_started"  # provably not run
    OVERLOADED = "overloaded"  # nor this, because the backend has too much to do
    CONNECTION_LOST = "connection_lost"  # it may have run
    PROTOCOL = "protocol"  # the backend answered with a JSON-RPC error
    TOOL = "tool"  # a result that reports an error
    TIMED_OUT = "timed_out"  # one of the job's clocks
    CANCELLED = "cancelled"


DueLabel = Literal[
    "remove",
    "keep",
    "let_go",
    "call_back",
    "drive",
    "fail",
    "cancel",
    "publish",
    "release",
    "rescue",
    "hand_off",
    "answer",
    "leave",
]
AuthFailure = Literal["missing", "unknown", "expired", "unchecked", "role", "origin", "host"]
LetterReason = Literal["dead", "lost", "buried"]  # tries used up, outcome unknown, no job
CallbackEnd = Literal["delivered", "retried", "failed"]  # of one try
DropReason = Literal["stale", "ended", "expired", "undecodable", "missing", "adopted", "elsewhere"]

_LETTERS = frozenset(get_args(LetterReason))


class Metrics:
    """The metrics of one process, on a registry of its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        # A second series for each counter, which nobody reads.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library gives no types
        self.registry = registry or CollectorRegistry()
        self._runs: dict[tuple[str, str], RunSeries] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._of_the_fleet()
        self._of_the_door()
        self._of_submissions()
        self._of_runs()
        self._of_the_ledger()
        self._of_supervision()
        self._of_batches()
        self._of_blobs()
        self._of_callbacks()

    def _of_the_fleet(self) -> None:
        """Measured at the time of the scrape, by `ingress.operations.survey`."""
        self.jobs = self._gauge("jobs", "Jobs kept, by state and tool.", "tool", "state")
        self.letters_waiting = self._gauge(
            "dead_letters_waiting", "Dead letters that nobody has replayed or dropped."
        )
        self.queue_waiting = self._gauge("queue_waiting", "Jobs that wait for a slot.", "queue")
        self.queue_oldest = self._gauge(
            "queue_oldest_seconds", "Age of the job that has waited longest.", "queue"
        )
        self.queue_ready = self._gauge(
            "queue_ready_tokens", "Tokens that the broker holds ready.", "queue"
        )
        self.slots = self._gauge("slots", "Slots of the workers that take jobs.", "queue")
        self.slots_busy = self._gauge("slots_busy", "Slots with a running job.", "queue")
        self.workers = self._gauge("workers", "Workers with a live lease.")
        self.replicas = self._gauge(
            "backend_replicas", "Replicas on live workers, by state.", "backend", "state"
        )
        self.breakers = self._gauge(
            "backend_breakers", "Replicas by the state of their breaker.", "backend", "state"
        )
        self.unhealthy = self._gauge(
            "backend_replicas_failing_looks", "Replicas whose newest look failed.", "backend"
        )
        self.disabled = self._gauge(
            "backend_disabled", "1 while an operator has disabled it.", "backend"
        )
        self.store_up = self._gauge("store_up", "1 while the store answers this process.")
        self.broker_up = self._gauge("broker_up", "1 while the broker takes tokens from it.")

    def _of_submissions(self) -> None:
        """Counted by an ingress."""
        self.submissions = self._counter("submissions", "Calls accepted as jobs.", "tool")
        self.refusals = self._counter(
            "refusals",
            "Calls not accepted.",
            "reason",  # unknown_tool | arguments | key | callback | full | store | blobs …
        )
        self.hand_offs = self._counter(
            "hand_offs", "Held calls that were answered with a job id.", "tool"
        )

    def _of_the_door(self) -> None:
        """Counted by an ingress, and by a worker with a port."""
        self.auth_failures = self._counter(
            "auth_failures",
            "Requests that were not let in, or not so far; `reason` is an AuthFailure.",
            "reason",
        )
        for reason in get_args(AuthFailure):
            self.auth_failures.labels(reason=reason)

    def refuse(self, reason: AuthFailure) -> None:
        self.auth_failures.labels(reason=reason).inc()

    def _of_runs(self) -> None:
        """Counted by a worker."""
        self.wait_seconds = self._histogram(
            "job_wait_seconds", "From submission to the first start.", _WAITS, "tool"
        )
        self.run_seconds = self._histogram(
            "job_run_seconds", "One run, from its claim to its end.", _RUNS, "tool"
        )
        self.settled = self._counter(
            "runs_settled", "Runs that ended, by the state they left.", "tool", "state"
        )
        self.backend_calls = self._counter(
            "backend_calls", "Calls written to a backend.", "tool", "backend"
        )
        self.backend_errors = self._counter(
            "backend_errors",
            "Calls without a good result; `error` is a CallFault.",
            "tool",
            "backend",
            "error",
        )
        self.retries = self._counter(
            "retries",
            "Runs that failed and are followed by another try; `error` is a CallFault.",
            "backend",
            "error",
        )
        self.retries_over_budget = self._counter(
            "retries_over_budget",
            "Retries that wait longer, because the backend's budget is used up.",
            "backend",
        )
        self.progress_relayed = self._counter(
            "progress_relayed", "Progress notes that were passed on."
        )
        self.output_entries = self._counter(
            "output_entries", "Entries that calls said and that were kept beside their records."
        )

    def _of_the_ledger(self) -> None:
        """Counted by every process that reconciles, and by workers that drop a token."""
        self.due_actions = self._counter(
            "due_actions", "What the due sweep did; `action` is a DueLabel.", "action"
        )
        for action in get_args(DueLabel):
            self.due_actions.labels(action=action)
        self.released = self._counter(
            "released", "Jobs that were held for want of room in their release window, let go."
        )
        self.dead_letters = self._counter(
            "dead_letters", "Dead letters that came to be; `reason` is a LetterReason.", "reason"
        )
        for reason in _LETTERS:
            self.dead_letters.labels(reason=reason)
        self.tokens_dropped = self._counter(
            "tokens_dropped", "Tokens acked without a run; `reason` is a DropReason.", "reason"
        )
        for reason in get_args(DropReason):
            self.tokens_dropped.labels(reason=reason)

    def _of_blobs(self) -> None:
        self.blob_bytes = self._counter(
            "blob_bytes", "Bytes put apart; `kind` is result, arguments, document or file.", "kind"
        )
        for kind in ("result", "arguments", "document", "file"):
            self.blob_bytes.labels(kind=kind)
        self.results_too_large = self._counter(
            "results_too_large", "Results over `max_result`: their jobs failed.", "tool"
        )
        self.outputs_too_large = self._counter(
            "outputs_too_large", "Tries that said more than `max_output`.", "tool"
        )
        self.strays_deleted = self._counter(
            "blob_strays_deleted", "Blobs of no record and no document, found and deleted."
        )
        self.documents_expired = self._counter(
            "documents_expired", "Entries of documents that were removed when their time was over."
        )

        self.checkpoints = self._counter(
            "checkpoints", "Checkpoints of tools; `kept` is no for one over its limit.", "kept"
        )
        for kept in ("yes", "no"):
            self.checkpoints.labels(kept=kept)

    def _of_callbacks(self) -> None:
        """Tries are counted by an ingress; how many wait is measured at the scrape."""
        self.callback_tries = self._counter(
            "callback_tries", "Callbacks sent; `end` is a CallbackEnd.", "end"
        )
        for end in get_args(CallbackEnd):
            self.callback_tries.labels(end=end)
        self.callbacks = self._gauge(
            "callbacks", "Callbacks that are owed, or were given up, by state.", "state"
        )

    def _of_batches(self) -> None:
        """Counted by an ingress. Their rows are jobs, and counted as such."""
        self.batches = self._counter("batches", "Batches accepted.", "tool")
        self.rows_refused = self._counter("batch_rows_refused", "Rows that could not be a call.")
        self.rows_run_again = self._counter("batch_rows_run_again", "Rows begun by a retry.")

    def _of_supervision(self) -> None:
        """Counted by the parent of a worker; each worker that it starts shows them."""
        self.worker_restarts = self._counter(
            "worker_restarts", "Workers started again after they died, by the same parent."
        )
        self.groups_killed = self._counter(
            "replica_groups_killed", "Process groups of backends that a dead worker had left."
        )

    def runs_of(self, tool: str, backend: str) -> "RunSeries":
        """Kept for as long as the library keeps the series themselves: for ever."""
        series = self._runs.get((tool, backend))
        if series is None:
            series = self._runs[tool, backend] = RunSeries(self, tool, backend)
        return series

    def count_letter(self, change: str) -> None:
        """A change of this name was committed; it counts when it made a dead letter."""
        if change in _LETTERS:
            self.dead_letters.labels(reason=change).inc()

    def describe(self, *, version: str, role: str) -> None:
        """Name the process: one `longhaul_build_info` with its version and role."""
        info = Info("longhaul_build", "This process.", registry=self.registry)
        info.info({"version": version, "role": role})

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"longhaul_{name}", text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"longhaul_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(f"longhaul_{name}", text, labels, buckets=buckets, registry=self.registry)


class RunSeries:
    """What every run of one tool counts on: to look a series up takes longer than to count."""

    def __init__(self, metrics: Metrics, tool: str, backend: str) -> None:
        self.wait_seconds = metrics.wait_seconds.labels(tool=tool)
        self.run_seconds = metrics.run_seconds.labels(tool=tool)
        self.calls = metrics.backend_calls.labels(tool=tool, backend=backend)
        self._metrics = metrics
        self._tool = tool
        self._settled: dict[str, Counter] = {}

    def settled(self, state: str) -> Counter:
        series = self._settled.get(state)
        if series is None:
            series = self._metrics.settled.labels(tool=self._tool, state=state)
            self._settled[state] = series
        return series
