"""One run: a deployment, its callers, its faults, the verdict. `python -m tests.chaos.run --help`.

Prints the seed first, so that a run can be had again: the same faults at the same times. What the
processes make of them differs, as it does in life.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import anyio

from tests.chaos.deployment import LONGHAUL, SLOTS, Deployment, deployed
from tests.chaos.faults import Fault, broken, planned
from tests.chaos.load import Load, Submitted, ended, submitted
from tests.chaos.verdict import Verdict, judged, table

AFTERWARDS = 60.0  # seconds after the last fault in which all must have ended


async def chaos(
    folder: Path,
    *,
    calls: int,
    seconds: float,
    seed: int,
    afterwards: float = AFTERWARDS,
    worker: Sequence[str] = LONGHAUL,
) -> Verdict:
    load = Load(calls=calls, seconds=seconds * 0.9, seed=seed, starts=folder / "starts")
    faults = planned(seed, seconds, workers=len(SLOTS), ingresses=2)
    with deployed(folder, worker) as deployment:
        # The first submission waits until there are tools; the faults begin then.
        await submitted(
            Load(calls=1, seconds=0, seed=-seed, starts=folder / "first"), deployment.addresses
        )
        told = await _under_fire(deployment, load, faults)
        began = anyio.current_time()
        states = await ended(told.jobs, deployment.addresses, afterwards)
        return judged(load, told, states, faults, anyio.current_time() - began)


async def _under_fire(deployment: Deployment, load: Load, faults: Sequence[Fault]) -> Submitted:
    with anyio.fail_after(load.seconds + 2 * AFTERWARDS):
        async with anyio.create_task_group() as group:
            group.start_soon(broken, deployment, faults)
            told = await submitted(load, deployment.addresses)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Break a deployment at random, count what is lost."
    )
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--folder", type=Path, help="kept, with all logs; default: a temporary one")
    given = parser.parse_args()
    say(f"seed {given.seed}: {given.calls} calls, {given.seconds:g} s of faults")
    for fault in planned(given.seed, given.seconds, workers=len(SLOTS), ingresses=2):
        say(str(fault))
    with tempfile.TemporaryDirectory(prefix="longhaul-chaos-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        verdict = anyio.run(_run, folder, given.calls, given.seconds, given.seed)
    say(table(verdict))
    sys.exit(0 if verdict.kept else 1)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def _run(folder: Path, calls: int, seconds: float, seed: int) -> Verdict:
    return await chaos(folder, calls=calls, seconds=seconds, seed=seed)


if __name__ == "__main__":
    main()
