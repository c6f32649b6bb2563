"""Private servers in containers, where a Docker engine answers."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache

from testcontainers.core.container import DockerContainer
from typing_extensions import override

from tests.support.ports import free_port
from tests.support.private import Private
from tests.support.private_rabbit import SETTINGS as RABBIT_SETTINGS
from tests.support.private_redis import SETTINGS as REDIS_SETTINGS
from tests.support.private_redis import as_options
from tests.support.probes import answers_amqp, answers_redis
from tests.support.waiting import wait_for

PING = """
from testcontainers.core.docker_client import DockerClient
DockerClient(timeout=3).client.ping()
"""
RABBIT_CONF = "/etc/rabbitmq/conf.d/90-longhaul.conf"


@cache
def engine_answers() -> bool:
    """Whether there is an engine, not only its command."""
    # In its own process: without an engine the client leaves a socket open.
    asked = subprocess.run([sys.executable, "-c", PING], capture_output=True, check=False)
    return asked.returncode == 0


class PrivateContainer(Private):
    """A server in a container. Its port on this machine is chosen once, so that it stays."""

    def __init__(
        self, container: DockerContainer, inner: int, answers: Callable[[str, int], bool]
    ) -> None:
        self.port = free_port()
        self._container = container.with_bind_ports(inner, self.port)
        self._answers = answers
        self._made = False

    @property
    def host(self) -> str:
        return self._container.get_container_host_ip()

    @override
    def start(self) -> None:
        if self._made:
            self._container.get_wrapped_container().start()
        else:
            self._made = True
            self._container.start()
        wait_for(lambda: self._answers(self.host, self.port), seconds=90)

    @override
    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    @override
    def close(self) -> None:
        self._container.stop()


class ContainerRabbit(PrivateContainer):
    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        lines = (RABBIT_SETTINGS | dict(settings or {})).items()
        conf = "".join(f"{key} = {value}\n" for key, value in lines).encode()
        container = DockerContainer("rabbitmq:4.3").with_copy_into_container(conf, RABBIT_CONF)
        super().__init__(container, 5672, answers_amqp)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.host}:{self.port}/"


class ContainerRedis(PrivateContainer):
    def __init__(self, *, settings: Mapping[str, str] | None = None) -> None:
        options = as_options(REDIS_SETTINGS | dict(settings or {}))
        container = DockerContainer("redis:8").with_command(["redis-server", *options])
        super().__init__(container, 6379, answers_redis)

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}/0"
