"""The fleet: the processes that live now, from what each says of itself with its heartbeat."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from common.runtime import Runtime
from common.store.base import Lease
from common.store.standing import BackendOrders, Order

FRESH = 1.0  # seconds that one reading serves everybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    slots: int = 0
    busy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    state: str = "unknown"  # starting | ready | backoff | stopped
    since: float = 0.0  # seconds since the epoch
    protocol_version: str | None = None
    in_flight: int = 0
    restarts: int = 0
    pid: int | None = None
    url: str | None = None
    last_error: str | None = None
    last_stderr: str | None = None
    breaker: str = "closed"  # closed | open | half-open
    breaker_until: float | None = None  # seconds since the epoch, while it is open
    breaker_why: str = ""
    failed_looks: int = 0
    look_error: str | None = None
    retiring: str | None = None

    @property
    def takes_calls(self) -> bool:
        return self.state == "ready" and self.breaker != "open" and self.retiring is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One backend on one worker."""

    name: str
    transport: str = ""
    replicas: tuple[Replica, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """An ingress or a worker; an ingress has no queues."""

    lease: str
    role: str
    host: str = ""
    pid: int = 0
    started_at: int = 0  # ms
    beat_at: int = 0  # ms
    version: str = ""
    address: str = ""
    queues: Mapping[str, Slots] = field(default_factory=dict)
    backends: tuple[Carried, ...] = ()
    draining: bool = False  # it was asked to stop, and takes no more


@dataclass(frozen=True, slots=True)
class Fleet:
    processes: tuple[Process, ...] = ()
    orders: Mapping[str, BackendOrders] = field(default_factory=dict)  # of operators, by backend

    @property
    def workers(self) -> Iterator[Process]:
        return (each for each in self.processes if each.role == "worker")

    def serving(self, queue: str) -> list[Process]:
        return [worker for worker in self.workers if queue in worker.queues and not worker.draining]

    def disabled(self, backend: str) -> Order | None:
        return self.orders.get(backend, BackendOrders()).disabled

    def paused(self, queue: str) -> Order | None:
        return self.orders.get(queue, BackendOrders()).paused

    def slots(self, queue: str) -> Slots:
        """Of the workers that take its jobs, together."""
        found = [worker.queues[queue] for worker in self.serving(queue)]
        return Slots(slots=sum(each.slots for each in found), busy=sum(each.busy for each in found))

    def running(self, queue: str) -> int:
        """How many of its jobs run, those of workers that are about to end among them."""
        return sum(worker.queues[queue].busy for worker in self.workers if queue in worker.queues)

    def replicas(self, backend: str, workers: Iterable[Process] | None = None) -> list[Replica]:
        return [
            replica
            for worker in (self.workers if workers is None else workers)
            for carried in worker.backends
            if carried.name == backend
            for replica in carried.replicas
        ]


def fleet_of(leases: Sequence[Lease], orders: Mapping[str, BackendOrders] | None = None) -> Fleet:
    """Only the living count. A process of another version may say more, or less, of itself."""
    return Fleet(tuple(_process(lease) for lease in leases if lease.alive), orders or {})


def _process(lease: Lease) -> Process:
    info = lease.info
    queues = info.get("queues") or {}
    return Process(
        lease=lease.id,
        beat_at=lease.beat_at,
        role=str(info.get("role", "")),
        host=str(info.get("host", "")),
        pid=int(info.get("pid") or 0),
        started_at=int(info.get("started_at") or 0),
        version=str(info.get("version", "")),
        address=str(info.get("address") or ""),
        draining=bool(info.get("draining")),
        queues={name: Slots(**_known(Slots, each)) for name, each in queues.items()},
        backends=tuple(
            Carried(
                name=each["name"],
                transport=str(each.get("transport", "")),
                replicas=tuple(
                    Replica(**_known(Replica, replica)) for replica in each.get("replicas", ())
                ),
            )
            for each in info.get("backends") or ()
        ),
    )


def _known(kind: type[Slots | Replica], said: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: said[each.name] for each in fields(kind) if each.name in said}


class FleetFeed:
    """One reading of the leases serves all who ask within a second."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._fleet = Fleet()
        self._read_at = -FRESH

    def forget(self) -> None:
        """What was read is out of date."""
        self._read_at = -FRESH

    async def now(self) -> Fleet:
        """Raises: StoreUnreachableError: Nobody can tell."""
        if self._runtime.clock.monotonic() - self._read_at >= FRESH:
            store = self._runtime.store
            self._fleet = fleet_of(await store.leases(), await store.orders.all())
            self._read_at = self._runtime.clock.monotonic()
        return self._fleet
