"""Whether a server would serve a client now. An open port alone says little."""

import socket

AMQP_HEADER = b"AMQP\x00\x00\x09\x01"


def answers_amqp(host: str, port: int) -> bool:
    """The port is open long before the broker serves; then it answers to a protocol header."""
    return bool(_reply(host, port, AMQP_HEADER))


def answers_redis(host: str, port: int) -> bool:
    """An error comes back while it is still loading."""
    return _reply(host, port, b"PING\r\n").startswith(b"+PONG")


def _reply(host: str, port: int, request: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), 1) as connection:
            connection.sendall(request)
            return connection.recv(16)
    except OSError:
        return b""
