"""`/v1/tools`, `/v1/queues`, `/v1/workers`, `/v1/backends`: what there is, and how it stands."""

from fastapi import APIRouter

from common.catalogue import CatalogueTool
from common.config.urls import mask_url
from common.errors import NotFoundError
from ingress.api import shapes
from ingress.api.access import TheIngress
from ingress.api.job_view import rfc3339, rfc3339_or_none
from ingress.ingress import Ingress
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
        slots = fleet.slots(queue.name)
        queues.append(
            shapes.Queue(
                name=queue.name,
                waiting=queue.waiting,
                oldest_seconds=None
                if queue.oldest_at is None
                else max(0.0, round(now - queue.oldest_at / 1000, 3)),
                running=slots.busy,
                slots=slots.slots,
                workers=len(fleet.serving(queue.name)),
                ready_tokens=queue.ready_tokens,
            )
        )
    down = None if since is None else rfc3339(since * 1000)
    return shapes.Queues(queues=queues, broker_unreachable_since=down)


@router.get("/workers", response_model=shapes.Workers)
async def list_workers(ingress: TheIngress) -> shapes.Workers:
    """The workers whose heartbeat is fresh."""
    fleet = await ingress.fleet.now()
    return shapes.Workers(workers=[_worker(worker) for worker in fleet.workers])


@router.get("/backends", response_model=shapes.Backends)
async def list_backends(ingress: TheIngress) -> shapes.Backends:
    """Every MCP server that is configured, known to the catalogue, or run by a worker."""
    fleet, catalogue = await ingress.fleet.now(), ingress.feed.current
    configured = {each.name: each for each in ingress.runtime.settings.backends}
    carried = {each.name: each.transport for worker in fleet.workers for each in worker.backends}
    names = sorted({*configured, *carried, *(entry.backend for entry in catalogue.entries)})
    backends = []
    for name in names:
        config = configured.get(name)
        replicas = _replicas(fleet, name)
        backends.append(
            shapes.Backend(
                name=name,
                state=backend_state(replicas, disabled=config is not None and config.disabled),
                transport=carried.get(name) or (config.transport if config else None),
                tools=sum(1 for tool in catalogue.tools.values() if tool.backend == name),
                replicas=replicas,
            )
        )
    return shapes.Backends(backends=backends, collisions=_collisions(ingress))


def backend_state(replicas: list[shapes.ReplicaOnWorker], *, disabled: bool) -> str:
    """One word for all replicas together. Pure."""
    states = {replica.state for replica in replicas}
    if disabled:
        return "disabled"
    if not replicas:
        return "no worker"
    if states == {"ready"}:
        return "ready"
    if "ready" in states:
        return "degraded"
    return "starting" if states == {"starting"} else "down"


def _tool(ingress: Ingress, tool: CatalogueTool) -> shapes.Tool:
    policy = ingress.rules.for_tool(tool.name, tool.backend, tool.backend_tool)
    definition = tool.definition
    return shapes.Tool(
        name=tool.name,
        backend=tool.backend,
        title=definition.get("title"),
        description=definition.get("description"),
        queue=policy.queue,
        priority=policy.priority,
        repeatable=repeatable_of(tool, policy.repeatable)[0],
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
    )


def _collisions(ingress: Ingress) -> list[str]:
    return [
        f"{name}: kept for backend {kept}, not shown for {refused}"
        for name, kept, refused in ingress.feed.current.collisions
    ]
