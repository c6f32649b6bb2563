"""A worker's own process, as its parent starts it: the assignment comes on standard input.

When that is closed the parent is gone, whatever it died of, and the worker ends in an orderly way:
nobody would clear up after it. A pipe tells this on every system, a parent-death signal only on
Linux.
"""

import asyncio
import os
import signal
import sys

import uvloop

from common.errors import LonghaulError
from common.telemetry.logging import configure_logging
from longhaul.assignment import Assignment
from longhaul.exits import Exit
from longhaul.garbage import collect_seldom
from longhaul.screen.output import fail
from longhaul.screen.ready import announcing
from longhaul.serving import PortTakenError
from longhaul.working import serve_worker

_STDIN = 0


def main() -> int:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return Exit.DONE  # the parent has gone already
    assignment = Assignment.model_validate_json(line)
    configure_logging(assignment.settings)
    # Its parent hears of a reload, and starts another worker; backends get the default again.
    signal.signal(signal.SIGHUP, lambda *_: None)
    ready = announcing(as_json=assignment.as_json, mcp=False)
    try:
        collect_seldom()
        uvloop.run(serve_worker(assignment, ready, parent_gone))
    except (PortTakenError, LonghaulError) as error:
        fail(str(error))
        return Exit.USAGE
    return Exit.DONE


async def parent_gone() -> None:
    """Returns when nobody holds the other end of standard input any more."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()

    def look() -> None:
        if not os.read(_STDIN, 1024):
            gone.set()

    loop.add_reader(_STDIN, look)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(_STDIN)


if __name__ == "__main__":
    sys.exit(main())
