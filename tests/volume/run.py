"""One run: a batch from a file to a file, with kill -9 on the way. `python -m tests.volume.run`.

The command that was killed is typed again, word for word; the roles are started again.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import anyio
import orjson

from tests.support.waiting import until, until_answered
from tests.volume.deployment import TOOL, Deployment, deployed, has_tools
from tests.volume.verdict import Verdict, judged, table
from tests.volume.watching import Seen, used, watch

IN_FLIGHT = 256
# Who is killed when this share of the results is there.
STRIKES: Sequence[tuple[float, str]] = (
    (0.15, "worker-0"),
    (0.3, "command"),
    (0.5, "ingress"),
    (0.65, "worker-1"),
    (0.65, "command"),
    (0.8, "ingress"),
)
SLOWEST = 25.0  # rows/s that a run must have, on whatever machine


class Typed:
    """The command, typed as often as it was killed."""

    def __init__(self, deployment: Deployment, rows: Path, results: Path) -> None:
        self._deployment = deployment
        options = ("--out", str(results), "--in-flight", str(IN_FLIGHT))
        self._words = ("batch", TOOL, str(rows), *options)
        self._times = 1
        self.process = deployment.command(*self._words)

    def has_begun(self) -> bool:
        """The newest one has had its answer, each of them says its batch."""
        said = (self._deployment.folder / "command.log").read_text(errors="replace")
        return said.count("rows for") >= self._times

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def again(self) -> None:
        self._times += 1
        self.process = self._deployment.command(*self._words)


async def volume(
    folder: Path, rows: int, strikes: Sequence[tuple[float, str]] = STRIKES
) -> Verdict:
    source, results, starts = folder / "rows.jsonl", folder / "results.jsonl", folder / "starts"
    write_rows(source, rows, starts)
    seen, over = Seen(), anyio.Event()
    with deployed(folder) as deployment:
        before = await used(deployment)
        await deployment.order("pause")
        typed = Typed(deployment, source, results)

        def pids() -> dict[str, int]:
            return {"command": typed.process.pid, "ingress": deployment.ingress.pid}

        try:
            await until_answered(partial(all_wait, deployment, rows), seconds=60, every=0.1)
            seen.waiting = await used(deployment) - before
            began = anyio.current_time()
            await deployment.order("resume")
            async with anyio.create_task_group() as group:
                group.start_soon(watch, deployment, pids, seen, before, over)
                await strike_all(deployment, typed, results, rows, strikes)
                over.set()
            typed.process.communicate()
        except BaseException:
            typed.kill()
            say(deployment.last_words())
            raise
        return judged(
            results,
            starts,
            rows=rows,
            exit_code=typed.process.returncode,
            seconds=anyio.current_time() - began,
            in_flight=IN_FLIGHT,
            seen=seen,
            strikes=[name for _, name in strikes],
        )


async def all_wait(deployment: Deployment, rows: int) -> bool:
    """Nothing runs, and no more of the rows will become jobs."""
    return await deployment.waiting() == min(rows, IN_FLIGHT)


async def strike_all(
    deployment: Deployment,
    typed: Typed,
    results: Path,
    rows: int,
    strikes: Sequence[tuple[float, str]],
) -> None:
    """Each at its time; returns when the command has ended."""
    wait = partial(until, seconds=60 + rows / SLOWEST, every=0.1)
    for share, name in strikes:
        await wait(partial(has_lines, results, int(rows * share)))
        # A command that is typed while no router answers ends at once, as it should.
        await wait(partial(has_tools, deployment.url))
        await wait(typed.has_begun)
        strike(deployment, typed, name)
    await wait(lambda: typed.process.poll() is not None)


def strike(deployment: Deployment, typed: Typed, name: str) -> None:
    """Kill it, and have it again."""
    if name == "command":
        typed.kill()
        typed.again()
        return
    roles = {role.name: role for role in (*deployment.workers, deployment.ingress)}
    roles[name].kill()
    roles[name].start()


def write_rows(file: Path, rows: int, starts: Path) -> None:
    with file.open("wb") as out:
        out.writelines(_rows(rows, starts))


def _rows(rows: int, starts: Path) -> Iterable[bytes]:
    for n in range(1, rows + 1):
        yield orjson.dumps({"n": n, "seconds": 0, "file": str(starts)}) + b"\n"


def has_lines(file: Path, least: int) -> bool:
    return file.exists() and file.read_bytes().count(b"\n") >= least


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="A large batch, with kill -9 on the way.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="kept, with all logs; default: a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longhaul-volume-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        verdict = anyio.run(volume, folder, given.rows)
    say(table(verdict))
    sys.exit(0 if verdict.kept else 1)


if __name__ == "__main__":
    main()
