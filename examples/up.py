"""`make up`: the demo's router and its HTTP server, left running until Ctrl-C.

Options go to `longhaul up`, e.g. `make up ARGS="--port 9000"`. Its data folder is in the clone,
unless LONGHAUL_DATA names another: what it leaves is for no other router.
"""

import os
import signal
import sys
from types import FrameType

from examples.children import DATA, desk, environment, router_command, started


def main(options: list[str]) -> int:
    data = os.environ.get("LONGHAUL_DATA") or str(DATA)
    with (
        desk() as url,
        started(router_command(*options), env=environment(url, {"LONGHAUL_DATA": data})) as router,
    ):

        def pass_on(number: int, _frame: FrameType | None) -> None:
            router.send_signal(number)

        # Ctrl-C reaches the router by itself; it drains, and we end after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, pass_on)
        return router.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
