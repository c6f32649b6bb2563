"""The servers that the tests run: durable over a kill, and never left behind."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aio_pika
import pytest
import redis
from aio_pika.exceptions import ChannelNotFoundEntity

from common.brokers.rabbitmq.topology import Names
from common.store.redis.keys import Keys
from tests.support import namespaces
from tests.support.namespaces import Namespace
from tests.support.ports import EPMD
from tests.support.private_rabbit import PrivateRabbit
from tests.support.private_redis import PrivateRedis
from tests.support.servers import PROGRAMS, Shared
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("programs")]
OWNER = """
from tests.support.private_redis import PrivateRedis
with PrivateRedis() as server:
    print(server.port, server.folder, flush=True)
    input()
"""


@pytest.fixture
def programs() -> None:
    if not all(program() for program in PROGRAMS.values()):
        pytest.skip("other ways to get servers are open here, and these programs are not installed")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_killed_redis_comes_back_with_its_data() -> None:
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
        server.kill()
        assert not server.answers()
        server.start()
        assert client.get("key") == b"value"
    assert not listens(server.port)
    assert not server.folder.exists()


def test_a_paused_server_is_silent_until_it_is_resumed() -> None:
    with PrivateRedis() as server:
        server.pause()
        assert listens(server.port)
        assert not server.answers()
        server.resume()
        assert wait_for(server.answers)


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        port, folder = owner.stdout.readline().split()
        assert listens(int(port))
        owner.send_signal(signal.SIGKILL)
        wait_for(lambda: not listens(int(port)) and not Path(folder).exists())


def test_a_private_rabbitmq_ends_with_its_port_mapper() -> None:
    with PrivateRabbit() as server:
        assert listens(server.port + EPMD)
    wait_for(lambda: not listens(server.port) and not listens(server.port + EPMD))


def test_nothing_of_a_namespace_stays_on_shared_servers(
    rabbit: Shared, redis_server: Shared
) -> None:
    used, other = Namespace.fresh(), Namespace.fresh()
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as store:
        for namespace in (used, other):
            keys = Keys(namespace)
            store.hset(keys.head(keys.home, "0job"), mapping={"queue": "named-by-a-record"})
            store.hset(keys.catalogue, mapping={"named-by-the-catalogue": "{}"})
            namespace.queues.add("named-by-the-test")
        queues = {f"named-by-{who}" for who in ("a-record", "the-catalogue", "the-test")}
        asyncio.run(declare(rabbit.url, used, queues))
        namespaces.remove(used, broker=rabbit.url, store=redis_server.url)
        assert asyncio.run(existing(rabbit.url, used, queues)) == set()
        assert list(store.scan_iter(f"*{used}*")) == []
        assert len(list(store.scan_iter(f"*{other}*"))) == 2
        namespaces.remove(other, broker=None, store=redis_server.url)


async def declare(url: str, namespace: str, queues: set[str]) -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in queues:
            await channel.declare_queue(Names(namespace=namespace).queue(queue), durable=True)


async def existing(url: str, namespace: str, queues: set[str]) -> set[str]:
    async with await aio_pika.connect(url) as connection:
        found = set()
        for queue in queues:
            channel = await connection.channel()  # asking for a missing queue ends its channel
            with contextlib.suppress(ChannelNotFoundEntity):
                await channel.get_queue(Names(namespace=namespace).queue(queue), ensure=True)
                found.add(queue)
        return found
