"""Which faults come when: drawn from a seed, so that a run can be had again; and their doing."""

import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import anyio
import anyio.to_thread
from typing_extensions import override

from tests.chaos.deployment import Deployment, Role
from tests.support.private import PrivateServer

LONGEST_STILL = 18.0  # seconds; a process that stands still goes on or is killed within 20
GAP = 2.5  # seconds between two faults, on average
# How often each is hit, as shares. A broker's start costs the machine more than anything else.
TARGETS = {"worker": 6, "ingress": 3, "rabbitmq": 1, "redis": 1}
PARENT_LIVES = 0.6  # of the workers that are killed
# Seconds until a target that has come back may be hit again. A run that lets nothing come back to
# work shows little.
COMES_BACK = {"worker": 10.0, "ingress": 8.0, "rabbitmq": 20.0, "redis": 15.0}

Deed = Literal["kill", "kill the child", "restart", "stand still, go on", "stand still, kill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    at: float  # seconds since the beginning
    target: str
    deed: Deed
    lasts: float  # seconds: how long it stands still, or stays away

    @override
    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.target:10} {self.deed} ({self.lasts:.1f} s)"


def planned(seed: int, seconds: float, workers: int, ingresses: int) -> Sequence[Fault]:
    """The faults of one run, in the order of time; no two at once on one target."""
    chance = random.Random(seed)
    free = {
        "rabbitmq": 0.0,
        "redis": 0.0,
        **{f"worker-{n}": 0.0 for n in range(workers)},
        **{f"ingress-{n}": 0.0 for n in range(ingresses)},
    }
    faults: list[Fault] = []
    at = chance.uniform(0, GAP)
    while at < seconds:
        here = [name for name, since in free.items() if since <= at]
        if here:
            shares = [TARGETS[name.split("-")[0]] for name in here]
            (target,) = chance.choices(here, shares)
            faults.append(_drawn(chance, at, target, seconds))
            free[target] = at + faults[-1].lasts + COMES_BACK[target.split("-")[0]]
        at += chance.expovariate(1 / GAP)
    return faults


def _drawn(chance: random.Random, at: float, target: str, seconds: float) -> Fault:
    deeds: list[Deed] = ["kill", "restart", "stand still, go on", "stand still, kill"]
    (deed,) = chance.choices(deeds, [3, 2, 2, 1])
    if deed == "kill" and target.startswith("worker") and chance.random() < PARENT_LIVES:
        deed = "kill the child"
    longest = min(LONGEST_STILL, max(1.0, seconds / 4))
    lasts = chance.uniform(0.5, longest) if deed.startswith("stand") else chance.uniform(0, 2)
    return Fault(at=at, target=target, deed=deed, lasts=lasts)


async def broken(deployment: Deployment, faults: Sequence[Fault]) -> None:
    """Do it all; at the end everything runs again."""
    began = anyio.current_time()
    roles = {role.name: role for role in deployment.roles}
    servers = {"rabbitmq": deployment.rabbit, "redis": deployment.redis}
    # On a busy machine a server may still be coming back when its next fault is due.
    whole = {name: anyio.Lock() for name in (*roles, *servers)}

    async def do(fault: Fault) -> None:
        async with whole[fault.target]:
            if fault.target in roles:
                await _to_a_role(roles[fault.target], fault)
            else:
                await _to_a_server(servers[fault.target], fault)

    async with anyio.create_task_group() as group:
        for fault in faults:
            await anyio.sleep_until(began + fault.at)
            group.start_soon(do, fault)


async def _to_a_role(role: Role, fault: Fault) -> None:
    if fault.deed in {"restart", "kill the child"}:
        do = role.restart if fault.deed == "restart" else role.kill_the_child
        await anyio.to_thread.run_sync(do)
        return
    if fault.deed.startswith("stand"):
        role.signal(signal.SIGSTOP)
        await anyio.sleep(fault.lasts)
        if fault.deed == "stand still, go on":
            role.signal(signal.SIGCONT)
            return
    await anyio.to_thread.run_sync(role.kill)
    await anyio.sleep(min(fault.lasts, 2))
    role.start()


async def _to_a_server(server: PrivateServer, fault: Fault) -> None:
    if fault.deed.startswith("stand"):
        server.pause()
        await anyio.sleep(fault.lasts)
        if fault.deed == "stand still, go on":
            server.resume()
            return
    end = server.stop if fault.deed == "restart" else server.kill
    await anyio.to_thread.run_sync(end)
    await anyio.sleep(min(fault.lasts, 2))
    await anyio.to_thread.run_sync(server.start)
