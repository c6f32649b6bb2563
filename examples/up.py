"""`make up`: the demo's router and its HTTP server, left running until Ctrl-C.

Options go to `longhaul up`, e.g. `make up ARGS="--port 9000"`.
"""

import signal
import sys
from types import FrameType

from examples.children import desk, environment, router_command, started


def main(options: list[str]) -> int:
    with desk() as url, started(router_command(*options), env=environment(url)) as router:

        def pass_on(number: int, _frame: FrameType | None) -> None:
            router.send_signal(number)

        # Ctrl-C reaches the router by itself; it drains, and we end after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, pass_on)
        return router.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
