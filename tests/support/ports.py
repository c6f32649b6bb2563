"""Free ports for private servers."""

import random
import socket

EPMD = 10_000  # how far above its own port an instance keeps these two
DISTRIBUTION = 20_000


def free_port() -> int:
    """A port that is free together with the two that a RabbitMQ on it needs besides.

    All three lie below the range from which the system picks ports for outgoing connections, so
    that a server finds its port free again when it is started anew.
    """
    for _ in range(200):
        port = random.randint(10_100, 12_700)
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
