"""Measure: the metrics that the store knows, brought up to date when somebody asks for them."""

from common.errors import StoreUnreachableError
from common.jobs.callbacks import CallbackState
from common.jobs.indexes import callback_index
from common.jobs.state import JobState
from common.telemetry.metrics import Metrics
from ingress.ingress import Ingress
from ingress.operations.fleet import Fleet
from ingress.operations.survey import (
    BREAKER_STATES,
    REPLICA_STATES,
    QueueState,
    jobs_by_tool,
    letters_waiting,
    queue_names,
    queue_states,
)

_OPEN = (CallbackState.PENDING, CallbackState.FAILED)


async def measure(ingress: Ingress) -> None:
    """Without the store the old values are dropped: a number that may be wrong is not told."""
    runtime, metrics = ingress.runtime, ingress.runtime.metrics
    metrics.broker_up.set(runtime.broker.unreachable_since is None)
    catalogue = ingress.feed.current
    try:
        fleet = await ingress.fleet.now()
        queues = await queue_states(runtime, queue_names(ingress.rules, catalogue, fleet))
        jobs = await jobs_by_tool(runtime.store, catalogue.tools)
        letters = await letters_waiting(runtime.store)
        callbacks = await runtime.store.counts([callback_index(state) for state in _OPEN])
    except StoreUnreachableError:
        metrics.store_up.set(0)
        _forget(metrics)
        return
    metrics.store_up.set(1)
    _forget(metrics)
    _jobs(metrics, jobs)
    metrics.letters_waiting.set(letters)
    for state, count in zip(_OPEN, callbacks, strict=True):
        metrics.callbacks.labels(state=state).set(count)
    _queues(metrics, queues, fleet, runtime.clock.now())
    _fleet(metrics, fleet, {entry.backend for entry in catalogue.entries})


def _forget(metrics: Metrics) -> None:
    """A queue or a tool that is gone leaves no last value behind."""
    for gauge in (
        *(metrics.jobs, metrics.queue_waiting, metrics.queue_oldest, metrics.queue_ready),
        *(metrics.slots, metrics.slots_busy, metrics.replicas),
        *(metrics.breakers, metrics.unhealthy, metrics.disabled, metrics.callbacks),
    ):
        gauge.clear()


def _jobs(metrics: Metrics, jobs: list[tuple[str, JobState, int]]) -> None:
    for tool, state, count in jobs:
        metrics.jobs.labels(tool=tool, state=state).set(count)


def _queues(metrics: Metrics, queues: list[QueueState], fleet: Fleet, now: float) -> None:
    for queue in queues:
        age = 0.0 if queue.oldest_at is None else max(0.0, now - queue.oldest_at / 1000)
        metrics.queue_waiting.labels(queue=queue.name).set(queue.waiting)
        metrics.queue_oldest.labels(queue=queue.name).set(age)
        if queue.ready_tokens is not None:
            metrics.queue_ready.labels(queue=queue.name).set(queue.ready_tokens)
        metrics.slots.labels(queue=queue.name).set(fleet.slots(queue.name).slots)
        metrics.slots_busy.labels(queue=queue.name).set(fleet.running(queue.name))


def _fleet(metrics: Metrics, fleet: Fleet, backends: set[str]) -> None:
    metrics.workers.set(sum(1 for _ in fleet.workers))
    for backend in sorted(backends):
        replicas = fleet.replicas(backend)
        for state in REPLICA_STATES:
            count = sum(1 for replica in replicas if replica.state == state)
            metrics.replicas.labels(backend=backend, state=state).set(count)
        for state in BREAKER_STATES:
            count = sum(1 for replica in replicas if replica.breaker == state)
            metrics.breakers.labels(backend=backend, state=state).set(count)
        failing = sum(1 for replica in replicas if replica.failed_looks)
        metrics.unhealthy.labels(backend=backend).set(failing)
        metrics.disabled.labels(backend=backend).set(fleet.disabled(backend) is not None)
