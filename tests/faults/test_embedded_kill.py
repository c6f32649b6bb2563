"""Embedded: the one process is killed at any moment, and started again on its data folder."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import httpx2
import pytest

from longhaul.datafolder import running_router
from tests.support.desk import GATED, LONGHAUL, Desk
from tests.support.logbook import lines, started
from tests.support.processes import mentioning
from tests.support.waiting import until, until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

KILLING = 30.0  # seconds
AT_LEAST = 4  # lives with jobs, on a slow machine
CALLERS = 4
BY_RULE = {
    "b__safe": {"repeatable": True, "retry": {"attempts": 100, "first": "0s", "max": "0s"}},
}
TERMINAL = {"completed", "failed", "cancelled", "lost", "dead"}


@dataclass
class Accepted:
    """What was answered with an id, by the tool; the labels of jobs are unique."""

    ids: dict[str, str] = field(default_factory=dict)  # label: id
    begun: int = 0


@pytest.fixture
def tag() -> str:
    return f"86400.{random.randrange(10**8)}"


@pytest.fixture
def desk(tmp_path: Path, tag: str) -> Desk:
    """Its backend leaves a process behind, unless that is looked for and ended."""
    desk = Desk(tmp_path)
    command = f"sleep {tag} & exec {sys.executable} {GATED}"
    backend = {"command": "sh", "args": ["-c", command], "concurrency": 8}
    desk.configure({"b": backend}, tools=BY_RULE, drain="1s")
    return desk


@contextmanager
def router(desk: Desk) -> Iterator["subprocess.Popen[bytes]"]:
    with (desk.folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            (*LONGHAUL, "up", "--port", "0"),
            cwd=desk.folder,
            env=desk.environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def serving(desk: Desk) -> str:
    """The address of the router that runs now, once it offers the backend's tools."""

    async def offered() -> str:
        found = running_router(desk.folder / "data")
        if found is None or not found.address:
            return ""
        async with httpx2.AsyncClient() as http:
            try:
                listed = (await http.get(f"{found.address}/v1/tools")).json()["tools"]
            except httpx2.HTTPError:
                return ""
        return found.address if any(tool["name"] == "b__safe" for tool in listed) else ""

    return await until_answered(offered, seconds=90, every=0.05)


async def test_killed_at_any_moment_it_loses_nothing_and_repeats_nothing_unsafe(
    desk: Desk, tag: str
) -> None:
    chance = random.Random()
    log, accepted = desk.folder / "log", Accepted()
    with router(desk):
        await serving(desk)
    over, lives = time.monotonic() + KILLING, 0
    while time.monotonic() < over or lives < AT_LEAST:
        with router(desk):  # killed while it starts, and clears up after the one before
            await anyio.sleep(chance.uniform(0.0, 3.0))
        with router(desk) as process:
            address, before = await serving(desk), len(accepted.ids)
            async with anyio.create_task_group() as group:
                for _ in range(CALLERS):
                    group.start_soon(submitting, address, log, accepted, chance)
                some = before + chance.randrange(1, 3 * CALLERS)
                await until(partial(has, accepted, some), seconds=60)
                await anyio.sleep(chance.uniform(0.0, 0.5))
                process.kill()
        lives += 1
    with router(desk) as process:
        address = await serving(desk)
        ended = await all_ended(address, list(accepted.ids.values()))
        await until(lambda: len(mentioning(tag)) == 1)
        process.send_signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(process.wait, 30) == 0
    await until(lambda: mentioning(tag) == [])
    judge(accepted, ended, started(log))


def has(accepted: Accepted, number: int) -> bool:
    return len(accepted.ids) >= number


async def submitting(address: str, log: Path, accepted: Accepted, chance: random.Random) -> None:
    """One caller, until nobody answers."""
    async with httpx2.AsyncClient(base_url=address, timeout=60) as http:
        while True:
            accepted.begun += 1
            tool = chance.choice(("work", "safe"))
            label = f"{tool}-{accepted.begun}"
            arguments = {"log": str(log), "label": label, "seconds": chance.uniform(0, 0.2)}
            call = {"tool": f"b__{tool}", "arguments": arguments}
            try:
                answer = await http.post("/v1/jobs", json=call)
            except httpx2.HTTPError:
                return  # killed before it could answer: nothing was promised
            accepted.ids[label] = answer.json()["id"]
            await anyio.sleep(chance.uniform(0, 0.1))


async def all_ended(address: str, jobs: list[str]) -> dict[str, str]:
    """The state of each job, once all have ended."""
    states: dict[str, str] = {}
    async with httpx2.AsyncClient(base_url=address, timeout=60) as http:

        async def look() -> bool:
            for job in jobs:
                if states.get(job) not in TERMINAL:
                    answer = await http.get(f"/v1/jobs/{job}")
                    assert answer.status_code == 200, (job, answer.text)
                    states[job] = answer.json()["state"]
            return TERMINAL.issuperset(states.values())

        await until_answered(look, seconds=60, every=0.1)
    return states


def judge(accepted: Accepted, ended: dict[str, str], starts: list[str]) -> None:
    assert len(accepted.ids) >= AT_LEAST
    for label, job in accepted.ids.items():
        state, runs = ended[job], starts.count(label)
        if label.startswith("safe"):
            assert (state, runs >= 1) == ("completed", True), (label, state, runs)
        else:
            assert state in {"completed", "lost"}, (label, state)
            assert runs == 1 or (state, runs) == ("lost", 0), (label, state, runs)
    unsafe = [label for label in starts if label.startswith("work")]
    assert len(unsafe) == len(set(unsafe))


async def test_a_job_that_kills_the_one_process_becomes_a_dead_letter(tmp_path: Path) -> None:
    """Whoever starts it again each time."""
    desk = Desk(tmp_path)
    rule = {"repeatable": True, "retry": {"attempts": 2, "first": "0s", "max": "0s"}}
    desk.configure(
        {"b": {"command": sys.executable, "args": [str(GATED)]}},
        tools={"b__safe": rule},
    )
    log, gate = desk.folder / "log", desk.folder / "gate"
    with router(desk) as process:
        address = await serving(desk)
        async with httpx2.AsyncClient(base_url=address, timeout=60) as http:
            poison = {"log": str(log), "gate": str(gate), "then": "kill the worker"}
            answer = await http.post("/v1/jobs", json={"tool": "b__safe", "arguments": poison})
            job = answer.json()["id"]
        gate.touch()
        await anyio.to_thread.run_sync(process.wait, 60)
    with router(desk) as process:
        assert await anyio.to_thread.run_sync(process.wait, 60) == -signal.SIGKILL
    with router(desk):
        address = await serving(desk)
        assert await all_ended(address, [job]) == {job: "dead"}
        ran = desk.run("jobs", "show", job, "--json")
        assert json.loads(ran.out)["tries"] == 2
    assert lines(log) == ["started"] * 2
