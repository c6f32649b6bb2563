"""`/v1/tools`, `/v1/queues`, `/v1/workers`, `/v1/backends`: what there is, and how it stands."""

from fastapi import APIRouter

from common.catalogue import CatalogueTool
from common.config.urls import mask_url
from common.errors import NotFoundError
from ingress.api import shapes
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.job_view import rfc3339, rfc3339_or_none
from ingress.ingress import Ingress
from ingress.operations import queues as orders
from ingress.operations.call_request import repeatable_of
from ingress.operations.fleet import Fleet, Process, Replica
from ingress.operations.survey import queue_names, queue_states

router = APIRouter(tags=["operations"])


@router.get("/tools", response_model=shapes.Tools)
async def list_tools(ingress: TheIngress) -> shapes.Tools:
    """Every tool that can be called, in the order clients see."""
    return shapes.Tools(
        tools=[_tool(ingress, tool) for tool in ingress.feed.current.tools.values()]
    )


@router.get("/tools/{name}", response_model=shapes.Tool)
async def get_tool(name: str, ingress: TheIngress) -> shapes.Tool:
    tool = ingress.feed.current.tools.get(name)
    if tool is None:
        raise NotFoundError(f"no tool {name}")
    return _tool(ingress, tool)


@router.get("/queues", response_model=shapes.Queues)
async def list_queues(ingress: TheIngress) -> shapes.Queues:
    """Where jobs wait, and what works on them."""
    runtime, fleet = ingress.runtime, await ingress.fleet.now()
    names = queue_names(ingress.rules, ingress.feed.current, fleet)
    now = runtime.clock.now()
    since = runtime.broker.unreachable_since
    queues = []
    for queue in await queue_states(runtime, names):
        pause = fleet.paused(queue.name)
        queues.append(
            shapes.Queue(
                name=queue.name,
                waiting=queue.waiting,
                oldest_seconds=None
                if queue.oldest_at is None
                else max(0.0, round(now - queue.oldest_at / 1000, 3)),
                running=fleet.running(queue.name),
                slots=fleet.slots(queue.name).slots,
                workers=len(fleet.serving(queue.name)),
                ready_tokens=queue.ready_tokens,
                paused_since=None if pause is None else rfc3339(pause.at),
            )
        )
    down = None if since is None else rfc3339(since * 1000)
    return shapes.Queues(queues=queues, broker_unreachable_since=down)


@router.post("/queues/{name}/pause", status_code=202)
async def pause_queue(name: str, ingress: TheIngress, caller: CurrentCaller) -> shapes.Queues:
    """Start nothing of it: its jobs wait, those that run go on. Workers hear it at once."""
    await orders.pause(ingress, name, caller.name)
    return await list_queues(ingress)


@router.post("/queues/{name}/resume", status_code=202)
async def resume_queue(name: str, ingress: TheIngress, caller: CurrentCaller) -> shapes.Queues:
    """Take its jobs again."""
    await orders.resume(ingress, name, caller.name)
    return await list_queues(ingress)


@router.get("/workers", response_model=shapes.Workers)
async def list_workers(ingress: TheIngress) -> shapes.Workers:
    """The workers whose heartbeat is fresh."""
    fleet = await ingress.fleet.now()
    return shapes.Workers(workers=[_worker(worker) for worker in fleet.workers])


@router.get("/backends", response_model=shapes.Backends)
async def list_backends(ingress: TheIngress) -> shapes.Backends:
    """Every MCP server that is configured, known to the catalogue, or run by a worker."""
    fleet, catalogue = await ingress.fleet.now(), ingress.feed.current
    configured = {each.name for each in ingress.runtime.settings.backends}
    carried = {each.name for worker in fleet.workers for each in worker.backends}
    names = sorted({*configured, *carried, *(entry.backend for entry in catalogue.entries)})
    backends = [show_backend(ingress, fleet, name) for name in names]
    return shapes.Backends(backends=backends, collisions=_collisions(ingress))


def show_backend(ingress: Ingress, fleet: Fleet, name: str) -> shapes.Backend:
    config = next((each for each in ingress.runtime.settings.backends if each.name == name), None)
    carried = [b.transport for worker in fleet.workers for b in worker.backends if b.name == name]
    replicas, order = _replicas(fleet, name), fleet.disabled(name)
    disabled = order is not None or (config is not None and config.disabled)
    return shapes.Backend(
        name=name,
        state=backend_state(replicas, disabled=disabled),
        disabled_by=None if order is None else order.by,
        disabled_since=None if order is None else rfc3339(order.at),
        transport=carried[0] if carried else (config.transport if config else None),
        tools=sum(1 for tool in ingress.feed.current.tools.values() if tool.backend == name),
        replicas=replicas,
    )


def backend_state(replicas: list[shapes.ReplicaOnWorker], *, disabled: bool) -> str:
    """One word for all replicas together. Pure."""
    states = {_usable(replica) for replica in replicas}
    if disabled:
        return "disabled"
    if not replicas:
        return "no worker"
    if len(states) == 1 and states <= {"ready", "breaker open"}:
        return next(iter(states))
    if "ready" in states:
        return "degraded"
    return "starting" if states == {"starting"} else "down"


def _usable(replica: shapes.ReplicaOnWorker) -> str:
    open_ = replica.state == "ready" and replica.breaker == "open"
    return "breaker open" if open_ else replica.state


def _tool(ingress: Ingress, tool: CatalogueTool) -> shapes.Tool:
    policy = ingress.rules.for_tool(tool.name, tool.backend, tool.backend_tool)
    definition = tool.definition
    repeatable, repeatable_from = repeatable_of(tool, policy.repeatable)
    return shapes.Tool(
        name=tool.name,
        backend=tool.backend,
        title=definition.get("title"),
        description=definition.get("description"),
        queue=policy.queue,
        priority=policy.priority,
        repeatable=repeatable,
        repeatable_from=repeatable_from,
        version=tool.version,
        input_schema=dict(tool.input_schema),
        output_schema=definition.get("outputSchema"),
        annotations=definition.get("annotations"),
    )


def _worker(worker: Process) -> shapes.Worker:
    return shapes.Worker(
        id=worker.lease,
        host=worker.host,
        pid=worker.pid,
        version=worker.version,
        started_at=rfc3339_or_none(worker.started_at),
        last_beat_at=rfc3339_or_none(worker.beat_at),
        queues={
            name: shapes.WorkerSlots(slots=each.slots, busy=each.busy)
            for name, each in worker.queues.items()
        },
        backends={
            each.name: f"{sum(1 for r in each.replicas if r.state == 'ready')}"
            f"/{len(each.replicas)} ready"
            for each in worker.backends
        },
        address=worker.address or None,
        draining=worker.draining,
    )


def _replicas(fleet: Fleet, backend: str) -> list[shapes.ReplicaOnWorker]:
    return [
        _replica(worker, replica)
        for worker in fleet.workers
        for replica in fleet.replicas(backend, [worker])
    ]


def _replica(worker: Process, replica: Replica) -> shapes.ReplicaOnWorker:
    return shapes.ReplicaOnWorker(
        worker=worker.lease,
        host=worker.host,
        state=replica.state,
        since=rfc3339_or_none(replica.since * 1000),
        protocol_version=replica.protocol_version,
        in_flight=replica.in_flight,
        restarts=replica.restarts,
        pid=replica.pid,
        url=None if replica.url is None else mask_url(replica.url),
        last_error=replica.last_error,
        last_stderr=replica.last_stderr,
        breaker=replica.breaker,
        breaker_until=rfc3339_or_none((replica.breaker_until or 0) * 1000),
        breaker_why=replica.breaker_why or None,
        failed_looks=replica.failed_looks,
        look_error=replica.look_error,
        retiring=replica.retiring,
    )


def _collisions(ingress: Ingress) -> list[str]:
    return [
        f"{name}: kept for backend {kept}, not shown for {refused}"
        for name, kept, refused in ingress.feed.current.collisions
    ]
