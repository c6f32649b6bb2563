"""HTTP with uvicorn inside our own task group: our socket, our signals, our order of stop."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from longhaul.terminal import on_a_terminal

GRACE = 10  # seconds for open requests once a stop was asked for
ENDS = (signal.SIGTERM, signal.SIGINT)
SAME_MOMENT = 0.5  # seconds


class PortTakenError(Exception):
    """The address cannot be listened on; the text says what to change."""


class Server(uvicorn.Server):
    """uvicorn, without its own signal handlers: the composition owns them."""

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen_on(host: str, port: int, *, or_any: bool = False) -> socket.socket:
    """A listening socket; port 0 takes a free one, as does a port that is taken, `or_any` given.

    Raises:
        PortTakenError: Taken, or not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if or_any and error.errno == errno.EADDRINUSE:
            return listen_on(host, 0)
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise PortTakenError(
            f"cannot listen on {host}:{port} ({reason}); "
            "stop what uses it, or choose another with --port (0 takes a free one)"
        ) from error


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: ASGIApp) -> Server:
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
            timeout_keep_alive=75,
        )
    )


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[Server]:
    """Serve in the background until the context ends; then open requests get their grace."""
    server = make_server(app)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield server
    finally:
        server.should_exit = True
        await asyncio.wait([task])
        listening.close()


def signals_heeded() -> tuple[signal.Signals, ...]:
    """Those that ask for the end, but what whoever started us had us ignore, as nohup does.

    SIGHUP does where there is a terminal: it is gone. Elsewhere it asks for a reload.
    """
    asking = (*ENDS, signal.SIGHUP) if on_a_terminal() else ENDS
    return tuple(each for each in asking if signal.getsignal(each) is not signal.SIG_IGN)


async def stop_asked() -> signal.Signals:
    """The first signal that asks for the end; the next is left to the default: an end at once.

    What comes in the same moment is the same request: a service manager tells every process of a
    worker, and so does its parent.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[signal.Signals] = loop.create_future()
    heeded = signals_heeded()

    def hear(number: signal.Signals) -> None:
        if not asked.done():
            asked.set_result(number)
            loop.call_later(SAME_MOMENT, give_back)

    def give_back() -> None:
        for each in heeded:
            loop.remove_signal_handler(each)

    for number in heeded:
        loop.add_signal_handler(number, hear, number)
    try:
        return await asked
    except asyncio.CancelledError:  # the end has come by another way: the next signal means now
        give_back()
        raise
