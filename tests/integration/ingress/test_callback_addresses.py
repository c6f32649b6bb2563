"""A host of many addresses: the next one is asked when one refuses or is silent."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from common.config.model import Callbacks
from ingress.callbacks import resolving
from ingress.callbacks.post import Answered, NotSent, Post
from ingress.callbacks.resolving import Resolver
from ingress.callbacks.target import read_target
from tests.support.receiver import Receiver

pytestmark = pytest.mark.anyio

WITHIN = 4.0  # seconds of a try
REFUSES, SILENT, THERE, PRIVATE = "127.0.0.2", "127.0.0.3", "127.0.0.1", "10.0.0.1"
Send = Callable[..., Awaitable[Answered | NotSent]]


@pytest.fixture
def send(hooks: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """To the receiver's port at these addresses, which a name stands for."""
    port = int(hooks.url.rpartition(":")[2])
    post = Post(Resolver(Callbacks(allow=("127.0.0.0/8",))), WITHIN)

    async def send(*addresses: str) -> Answered | NotSent:
        monkeypatch.setattr(resolving, "_look_up", lambda _host, _port: list(addresses))
        return await post.send(read_target(f"http://many.test:{port}/"), {}, b"{}")

    with silent(port):
        yield send


def silent(port: int) -> ExitStack:
    """Its queue is full: what comes gets no answer, as from a machine that is off."""
    stack = ExitStack()
    full = stack.enter_context(socket.create_server((SILENT, port), backlog=0))
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        with suppress(BlockingIOError):
            waiting.connect(full.getsockname())
    return stack


@pytest.mark.parametrize("before", [[REFUSES], [SILENT], [REFUSES, SILENT], [PRIVATE]])
async def test_another_address_is_asked(send: Send, hooks: Receiver, before: list[str]) -> None:
    assert await send(*before, THERE) == Answered(status=204)
    assert len(hooks.came) == 1


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        ([SILENT, REFUSES], "no connection"),
        ([REFUSES, SILENT], f"no answer within {WITHIN:g} s"),
        ([PRIVATE], "many.test is not on the public net, and callbacks.allow does not have it"),
    ],
)
async def test_where_none_takes_it_the_last_one_says_why(
    send: Send, addresses: list[str], why: str
) -> None:
    assert await send(*addresses) == NotSent(why)
