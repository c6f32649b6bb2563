"""The link of a drill: what goes through it, what a cut does to it, and that it can be mended."""

import socket
import threading
from collections.abc import Iterator

import pytest

from longhaul.drill.link import Link
from tests.support.waiting import wait_for


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says everything again."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(1024):
                connection.sendall(piece)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return  # closed
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_what_is_cut_breaks_and_is_refused_until_it_is_mended(echo: int) -> None:
    with Link(f"redis://:a%40b@127.0.0.1:{echo}/3") as link:
        assert link.url.startswith("redis://:a%40b@127.0.0.1:")
        assert link.url.endswith("/3")
        there = "127.0.0.1", int(link.url.rsplit(":", 1)[1].removesuffix("/3"))
        with socket.create_connection(there, timeout=5) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
            link.cut()
            assert broken(client)
        with socket.create_connection(there, timeout=5) as client:
            assert broken(client)
        link.mend()
        with socket.create_connection(there, timeout=5) as client:
            client.sendall(b"again")
            assert client.recv(5) == b"again"
    wait_for(lambda: refused(there))


def broken(client: socket.socket) -> bool:
    try:
        client.sendall(b"?")
        return client.recv(1) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def refused(there: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(there, timeout=1):
            return False
    except ConnectionRefusedError:
        return True
