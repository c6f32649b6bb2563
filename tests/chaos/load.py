"""The callers: they submit while everything breaks, ask again until they are told, and look after.

Each submission carries an idempotency key, as a caller does who must not call twice: an answer that
was lost is asked for again, of whichever ingress is there.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2

CALLERS = 8
ATTENTION = 10.0  # seconds that a caller waits for an answer before it asks again
LONG_AGO = 400  # HTTP status from which an answer is a refusal
ENDED = frozenset({"completed", "failed", "cancelled", "dead", "lost"})


@dataclass(slots=True)
class Submitted:
    """What the callers were told. `jobs` is by the number of the call."""

    jobs: dict[int, str] = field(default_factory=dict)
    two_ids: list[int] = field(default_factory=list)  # calls that were given a second job
    asked_again: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    calls: int
    seconds: float  # over which they come
    seed: int
    starts: Path  # where the backend writes each start down
    longest: float = 4.0  # seconds that a call takes

    def tool(self, n: int) -> str:
        """Every other call is of the tool that must not run twice."""
        return "counting__once" if n % 2 else "counting__again"

    def body(self, n: int) -> Mapping[str, Any]:
        seconds = random.Random(f"{self.seed}:{n}").uniform(0.05, self.longest)
        arguments = {"n": n, "seconds": round(seconds, 3), "file": str(self.starts)}
        return {"tool": self.tool(n), "arguments": arguments}


async def submitted(load: Load, addresses: Sequence[str]) -> Submitted:
    """All of them accepted, however often it had to be asked."""
    told = Submitted()
    numbers = iter(range(load.calls))
    began = anyio.current_time()

    async def caller(http: httpx2.AsyncClient, number: int) -> None:
        others = itertools.cycle([*addresses[number % 2 :], *addresses[: number % 2]])
        for n in numbers:
            await anyio.sleep_until(began + load.seconds * n / load.calls)
            await _accepted(http, load, n, others, told)

    async with httpx2.AsyncClient(timeout=ATTENTION) as http, anyio.create_task_group() as group:
        for number in range(CALLERS):
            group.start_soon(caller, http, number)
    return told


async def _accepted(
    http: httpx2.AsyncClient, load: Load, n: int, others: "itertools.cycle[str]", told: Submitted
) -> None:
    key = {"Idempotency-Key": f"{load.starts}-{load.seed}-{n}"}
    for address in others:
        try:
            answer = await http.post(f"{address}/v1/jobs", json=load.body(n), headers=key)
        except httpx2.HTTPError:
            answer = None
        if answer is not None and answer.status_code < LONG_AGO:
            _remember(told, n, answer.json()["id"])
            return
        told.asked_again += 1
        await anyio.sleep(0.2)


def _remember(told: Submitted, n: int, job: str) -> None:
    if told.jobs.setdefault(n, job) != job:
        told.two_ids.append(n)


async def ended(
    jobs: Mapping[int, str], addresses: Sequence[str], seconds: float
) -> dict[int, str]:
    """The state of each call's job, once all have ended or `seconds` have passed; '' if unknown."""
    states = dict.fromkeys(jobs, "")
    limit = anyio.CapacityLimiter(16)

    async def look(http: httpx2.AsyncClient, n: int) -> None:
        async with limit:
            try:
                answer = await http.get(f"{addresses[n % 2]}/v1/jobs/{jobs[n]}")
            except httpx2.HTTPError:
                return
        if answer.is_success:
            states[n] = answer.json()["state"]

    with anyio.move_on_after(seconds):
        async with httpx2.AsyncClient(timeout=ATTENTION) as http:
            while open_ones := [n for n, state in states.items() if state not in ENDED]:
                async with anyio.create_task_group() as group:
                    for n in open_ones:
                        group.start_soon(look, http, n)
                await anyio.sleep(0.5)
    return states
