"""`longhaul worker` is a parent: what becomes of its jobs and processes when a worker dies."""

import os
import re
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import httpx2
import pytest

from common.config.model import Queue, Retry, Settings, ToolRule
from common.jobs.head import Head
from common.jobs.state import JobState
from longhaul.serving import SAME_MOMENT
from tests.support.logbook import lines, started
from tests.support.processes import alive, children_of, mentioning
from tests.support.system import Place, System, gated, open_system
from tests.support.waiting import until, until_answered
from tests.support.worker_process import worker_process

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]

SETTLED_WITHIN = 5.0  # seconds; it takes one, a lease would take ten, and others use the machine
AGAIN = ToolRule(repeatable=True, retry=Retry(attempts=3, first=0.0, max=0.0))
PATIENT = ToolRule(repeatable=True, retry=Retry(attempts=20, first=0.0, max=0.0))


@pytest.fixture
def settings(distributed_place: Place) -> Settings:
    return distributed_place.settings(
        gated("b"),
        gated("c"),
        tools={"b__safe": AGAIN, "c__safe": PATIENT},
        queues={"b": Queue(slots=3), "c": Queue(slots=1)},
    )


async def test_after_kill_9_of_a_worker_others_go_on_within_a_second(
    settings: Settings, tmp_path: Path
) -> None:
    """Its jobs are lost, or run elsewhere; those that only waited for it never notice."""
    logs, gate = {name: tmp_path / name for name in ("unsafe", "safe", "waited")}, tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker", "--port", "0") as process:
            await offered(system, "b__work", "c__work")
            unsafe = await system.submit(log=str(logs["unsafe"]), gate=str(gate))
            safe = await system.submit("b__safe", log=str(logs["safe"]), gate=str(gate))
            blocks = await system.submit("c__work", log=str(tmp_path / "c"), gate=str(gate))
            await until(lambda: all(map(lines, (logs["unsafe"], logs["safe"], tmp_path / "c"))))
            waiting = [
                await system.submit("c__work", log=str(logs["waited"]), label=str(number))
                for number in range(5)
            ]
            async with system.worker({"b": 1}):
                began = time.monotonic()
                process.kill()
                lost = await system.in_state(unsafe, JobState.LOST, seconds=30)
                again = await system.until_head(safe, lambda head: head.claims == 2, seconds=30)
                seconds = time.monotonic() - began
                assert (lost.tries, again.tries) == (1, 2)
                assert again.owner in system.leases
                gate.touch()
                assert (await system.ended(safe, seconds=30)).state is JobState.COMPLETED
                for job in waiting:
                    head = await system.settled(job, seconds=60)
                    assert (head.state, head.claims, head.tries) == (JobState.COMPLETED, 1, 1)
            assert (await system.head(blocks)).state is JobState.LOST
            # The parent did that, and not the next worker, which takes its time to start.
            told = process.log.read_text()
            counted = metrics(told)
            assert counted["longhaul_worker_restarts_total"] == 1
            assert counted["longhaul_replica_groups_killed_total"] == len(settings.backends)
            assert 0 < told.find('"lease.released"') < told.rfind('"worker.started"')
    assert sorted(started(logs["waited"])) == list("01234")
    assert (started(logs["unsafe"]), len(started(logs["safe"]))) == (["started"], 2)
    sys.stdout.write(f"both were settled after {seconds:.2f} s\n")
    assert seconds < SETTLED_WITHIN


async def test_a_job_that_kills_its_worker_ends_as_a_dead_letter(
    settings: Settings, tmp_path: Path
) -> None:
    """Or lost, where it may not run again; what shared its process follows its own rule."""
    logs, gate = {name: tmp_path / name for name in ("poison", "unsafe", "safe")}, tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await offered(system, "b__work", "c__safe")
            unsafe = await system.submit(log=str(logs["unsafe"]), gate=str(gate))
            safe = await system.submit("c__safe", log=str(logs["safe"]), gate=str(gate))
            await until(lambda: all(map(lines, (logs["unsafe"], logs["safe"]))))
            poison = await system.submit("b__safe", log=str(logs["poison"]), then="kill the worker")
            dead = await system.settled(poison, seconds=90)
            assert (dead.state, dead.tries, dead.claims) == (JobState.DEAD, 3, 3)
            assert (await system.settled(unsafe, seconds=30)).state is JobState.LOST
            gate.touch()
            safe_one = await system.settled(safe, seconds=60)
            assert safe_one.state is JobState.COMPLETED
            assert safe_one.tries >= 2
            worker = process.worker()
            poison = await system.submit("b__work", log=str(logs["poison"]), then="kill the worker")
            assert (await system.settled(poison, seconds=60)).state is JobState.LOST
            assert process.worker(but=worker)
            assert process.parent.poll() is None
    assert len(lines(logs["poison"])) == 3 + 1
    assert started(logs["unsafe"]) == ["started"]


async def test_a_worker_whose_parent_is_killed_ends_in_order(
    settings: Settings, tmp_path: Path
) -> None:
    """It notices, ends its backends and releases its lease; nothing is left."""
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await offered(system, "b__work", "c__work")
            (lease,) = await worker_leases(system)
            worker = process.worker()
            replicas = children_of(worker)
            assert len(replicas) == 2
            process.parent.kill()
            process.parent.wait()
            await until(lambda: mentioning(lease) == [], seconds=30)
            assert await no_lease(system)
            assert alive(*replicas) == []
    assert "Traceback" not in process.log.read_text()


async def test_a_worker_without_a_parent_goes_on_with_its_call_until_it_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await offered(system, "b__work")
            job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
            await until(lambda: lines(log))
            worker = process.worker()
            process.parent.kill()
            process.parent.wait()
            await until(lambda: "worker.drains" in process.log.read_text(), seconds=30)
            assert (await system.head(job)).state is JobState.RUNNING
            os.kill(worker, signal.SIGTERM)
            await until(lambda: alive(worker) == [], seconds=30)
            await system.store.release((await system.head(job)).owner)
            assert (await system.in_state(job, JobState.LOST)).tries == 1


async def test_what_a_machine_left_is_cleared_by_the_next_start_on_its_data_folder(
    settings: Settings, tmp_path: Path
) -> None:
    """Parent and worker died together: the next parent's worker releases the lease."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "first") as process:
            await offered(system, "b__safe")
            job = await system.submit("b__safe", log=str(log), gate=str(gate))
            await until(lambda: lines(log))
            owner = (await system.head(job)).owner
            process.kill_all()
        with worker_process(settings, tmp_path / "second") as process:
            await until(lambda: f'"lease":"{owner}"' in process.log.read_text(), seconds=30)
            gate.touch()
            head: Head = await system.settled(job, seconds=30)
            assert (head.state, head.tries) == (JobState.COMPLETED, 2)


async def test_a_parent_that_is_asked_to_stop_ends_well_and_leaves_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await offered(system, "b__work", "c__work")
            (lease,) = await worker_leases(system)
            process.parent.send_signal(signal.SIGTERM)
            assert process.parent.wait(30) == 0
            assert mentioning(lease) == []
            assert await no_lease(system)
            assert list((Path(settings.data) / "replicas").iterdir()) == []


async def test_a_second_signal_means_now(settings: Settings, tmp_path: Path) -> None:
    """The first lets the call go on, for it may not run twice; the second leaves it lost."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await offered(system, "b__work")
            job = await system.submit(log=str(log), gate=str(gate))
            await until(lambda: lines(log))
            process.parent.send_signal(signal.SIGTERM)
            await until(lambda: "worker.drains" in process.log.read_text())
            assert (await system.head(job)).state is JobState.RUNNING
            # What comes within half a second is taken for the same request.
            process.parent.send_signal(signal.SIGTERM)
            await until(partial(passed, time.monotonic(), 2 * SAME_MOMENT))
            assert process.parent.poll() is None
            process.parent.send_signal(signal.SIGTERM)
            await until(lambda: process.parent.poll() is not None, seconds=30)
            assert process.parent.returncode == 128 + signal.SIGTERM
            assert (await system.in_state(job, JobState.LOST, seconds=5)).tries == 1
    assert lines(log) == ["started"]


async def test_a_signal_that_its_starter_ignores_is_ignored(
    settings: Settings, tmp_path: Path
) -> None:
    """As under nohup: the terminal may go away."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with open_system(settings) as system:
            with worker_process(settings, tmp_path / "worker") as process:
                await offered(system, "b__work")
                process.parent.send_signal(signal.SIGHUP)
                job = await system.submit(log=str(tmp_path / "log"))
                assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
                assert "worker.stopping" not in process.log.read_text()
    finally:
        signal.signal(signal.SIGHUP, before)


def metrics(told: str) -> dict[str, float]:
    """Those without labels, of the worker that runs now: what it said last is its address."""
    address = re.findall(r"metrics at (http://\S+)", told)[-1]
    lines = httpx2.get(f"{address}/metrics", timeout=60).text.splitlines()
    plain = [line.split() for line in lines if re.match(r"\w+ [0-9.e+]+$", line)]
    return {name: float(value) for name, value in plain}


def passed(since: float, seconds: float) -> bool:
    return time.monotonic() - since > seconds


async def offered(system: System, *tools: str) -> None:
    """A worker is up: the tools are listed, and it serves their queues."""
    await until(
        lambda: all(tool in system.ingress.feed.current.tools for tool in tools), seconds=60
    )
    await until_answered(lambda: worker_leases(system), seconds=30)


async def worker_leases(system: System) -> list[str]:
    return [each.id for each in await system.store.leases() if each.info["role"] == "worker"]


async def no_lease(system: System) -> bool:
    return not await worker_leases(system)


def test_a_worker_of_a_wrong_configuration_is_not_started_again(
    tmp_path: Path, distributed_place: Place
) -> None:
    """The port is taken: said once, and the parent ends with it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = distributed_place.settings(gated("b"))
        words = ("--port", str(taken.getsockname()[1]))
        with worker_process(settings, tmp_path / "worker", *words) as process:
            assert process.parent.wait(60) == 2
            assert process.log.read_text().count("cannot listen") == 1
