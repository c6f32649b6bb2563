"""Making faults: an operator's own commands, or signals to processes on this machine."""

import os
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from longhaul.client import Client
from longhaul.drill.plan import Fault, Plan, Scenario
from longhaul.exits import UsageError

PATIENCE = 300.0  # seconds for a command
LOOKED_AT = 50  # running jobs
STALLED_FOR = 20.0  # seconds, unless the plan says; longer than a lease
Connect = Callable[[], Client]
Act = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """A scenario, ready to be carried out. `make` answers how it is mended."""

    name: str
    make: Callable[[], Act | None]
    hold: float  # seconds between the two


def harm_of(scenario: Scenario, plan: Plan, connect: Connect) -> Harm:
    restore = None if scenario.restore is None else _command(scenario.restore)

    def make() -> Act | None:
        undo: Act | None = None
        if scenario.command is not None:
            _carry_out(scenario.command, restore)
        elif scenario.fault is not None:
            with connect() as router:
                undo = _strike(scenario.fault, router, plan.backend)
        return restore if undo is None else _both(undo, restore)

    stalls = scenario.fault in {Fault.STALL_WORKER, Fault.STALL_BACKEND}
    hold = scenario.hold or (STALLED_FOR if stalls else 0.0)
    return Harm(name=scenario.name, make=make, hold=hold)


def _carry_out(command: str, restore: Act | None) -> None:
    """Raises: UsageError: It failed. What it did before that is mended."""
    try:
        output_of(command)
    except UsageError:
        if restore is not None:
            with suppress(UsageError):  # why the first one failed says more
                restore()
        raise


def _both(undo: Act, restore: Act | None) -> Act:
    def mend() -> None:
        try:
            undo()
        finally:
            if restore is not None:
                restore()

    return mend


def _strike(fault: Fault, router: Client, backend: str) -> Act | None:
    """Raises: UsageError: No such process is on this machine, or it is not ours to touch."""
    if fault in {Fault.KILL_WORKER, Fault.STALL_WORKER}:
        pid = _busiest(_workers(router, backend), "worker")
    else:
        pid = _busiest(_replicas(router, backend), f"process of backend {backend}")
    if fault in {Fault.KILL_WORKER, Fault.KILL_BACKEND}:
        _signal(pid, signal.SIGKILL)
        return None
    _signal(pid, signal.SIGSTOP)
    return lambda: _signal(pid, signal.SIGCONT, missing_ok=True)


def _workers(router: Client, backend: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """Each with the probes that run on it now; what it says of itself is seconds old."""
    tools = {
        tool["name"] for tool in router.get("/v1/tools")["tools"] if tool["backend"] == backend
    }
    running = router.get("/v1/jobs", state="running", limit=LOOKED_AT)["jobs"]
    probes = Counter(_claimed_by(router, job["id"]) for job in running if job["tool"] in tools)
    for worker in router.get("/v1/workers")["workers"]:
        yield probes[worker["id"]], worker


def _claimed_by(router: Client, job: str) -> str:
    claims = [event for event in router.events(job) if event["name"] == "claimed"]
    return str(claims[-1]["facts"].get("worker", "")) if claims else ""


def _replicas(router: Client, backend: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    for each in router.get("/v1/backends")["backends"]:
        if each["name"] == backend:
            yield from ((replica["in_flight"], replica) for replica in each["replicas"])


def _busiest(found: Iterable[tuple[int, Mapping[str, Any]]], what: str) -> int:
    here = socket.gethostname()
    pids = [(load, each["pid"]) for load, each in found if each["pid"] and each["host"] == here]
    if not pids:
        raise UsageError(f"no {what} on this machine ({here}): give a command for it instead")
    return int(max(pids)[1])


def _signal(pid: int, number: signal.Signals, *, missing_ok: bool = False) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError as error:
        if not missing_ok:
            raise UsageError(f"process {pid} has gone already; try again") from error
    except PermissionError as error:
        raise UsageError(f"process {pid} is another user's: give a command instead") from error


def _command(words: str) -> Act:
    def run() -> None:
        output_of(words)

    return run


def output_of(words: str) -> str:
    """What a command prints. Raises: UsageError: It failed."""
    try:
        done = subprocess.run(  # noqa: S602 - the operator's own words, in the operator's shell
            words,
            shell=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{words}: still running after {PATIENCE:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-500:]
        raise UsageError(f"{words}: exit status {done.returncode}: {said}")
    return done.stdout
