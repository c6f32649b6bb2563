"""Free ports for private servers."""

import os
import random
import socket
from collections.abc import Iterator
from itertools import cycle

EPMD = 10_000  # how far above its own port an instance keeps these two
DISTRIBUTION = 20_000


def _own_ports() -> Iterator[int]:
    """The ports of this test process, over and over. Two processes never try the same one, and
    one does not give a port out again while the server that it was for still starts.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = list(range(10_100 + number, 12_700, processes))
    random.shuffle(ports)
    return cycle(ports)


_ports = _own_ports()


def free_port() -> int:
    """A port that is free together with the two that a RabbitMQ on it needs besides.

    All three lie below the range from which the system picks ports for outgoing connections, so
    that a server finds its port free again when it is started anew.
    """
    for _ in range(200):
        port = next(_ports)
        if all(_is_free(port + more) for more in (0, EPMD, DISTRIBUTION)):
            return port
    raise OSError("no free port for a private server in 200 tries")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
