"""A worker reduced to a backend pool, as a program to kill: `worker.py DATA`.

Prints the pid of its replica's process and of that process's child.
"""

import asyncio
import sys
from pathlib import Path

from tests.support.backends.pools import pooled, stdio


async def main(data: Path) -> None:
    async with pooled(stdio("legacy_stdio", "stubborn"), data) as backend:
        child = (await backend.call("child"))["pid"]
        sys.stdout.write(f"{backend.pool.status().replicas[0].pid} {child}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
