"""Gets RabbitMQ and Redis for the tests: the address given, or a private one by the first way open.

The ways: a Docker engine, the installed programs, the distribution's packages. A server that runs
already is used only if its address was given.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support import packages, private_rabbit, private_redis
from tests.support.containers import ContainerRabbit, ContainerRedis, engine_answers
from tests.support.private import NoServerError, PrivateServer
from tests.support.private_rabbit import PrivateRabbit
from tests.support.private_redis import PrivateRedis

PROGRAMS = {
    "rabbitmq-server": private_rabbit.program,
    "redis-server": private_redis.program,
}
SPARED = "LONGHAUL_TEST_"  # what speaks to the tests; the rest of LONGHAUL_… speaks to Longhaul


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Addresses from the environment; None where the tests shall find a server themselves."""

    broker: str | None
    store: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A server that many tests use; none of them may stop it."""

    url: str


def take_given(environment: MutableMapping[str, str]) -> Given:
    """Read the addresses, and take Longhaul's variables away: tests set what they need.

    The addresses stay under the names that are spared, for the test processes that this one starts.
    """

    def url(name: str, scheme: str) -> str | None:
        found = environment.get(f"{SPARED}{name}") or environment.get(f"LONGHAUL_{name}") or ""
        return found if found.startswith(scheme) else None

    given = Given(broker=url("BROKER_URL", "amqp"), store=url("STORE_URL", "redis"))
    for name in [name for name in environment if name.startswith("LONGHAUL_")]:
        if not name.startswith(SPARED):
            del environment[name]
    for name, address in (("BROKER_URL", given.broker), ("STORE_URL", given.store)):
        if address is not None:
            environment[f"{SPARED}{name}"] = address
    return given


def prepare(given: Given) -> None:
    """Install what is missing before the first test, whose time limit is not meant for that.

    Raises:
        NoServerError: A server was not given, and cannot be had.
    """
    wanted = {"rabbitmq-server": given.broker, "redis-server": given.store}
    for name, url in wanted.items():
        if url is None and not engine_answers():
            _have(name)


def new_rabbit(settings: Mapping[str, str] | None = None) -> PrivateServer:
    """A private RabbitMQ, not started yet.

    Raises:
        NoServerError: There is none here.
    """
    if engine_answers():
        return ContainerRabbit(settings=settings)
    _have("rabbitmq-server")
    return PrivateRabbit(settings=settings)


def new_redis(settings: Mapping[str, str] | None = None) -> PrivateServer:
    """A private Redis, not started yet.

    Raises:
        NoServerError: There is none here.
    """
    if engine_answers():
        return ContainerRedis(settings=settings)
    _have("redis-server")
    return PrivateRedis(settings=settings)


def new_rabbit43(settings: Mapping[str, str] | None = None) -> PrivateServer:
    """A private RabbitMQ 4.3, not started yet.

    Raises:
        NoServerError: There is none here.
    """
    if engine_answers():
        return ContainerRabbit(settings=settings)
    return PrivateRabbit(version="4.3", settings=settings)


def new_redis8() -> PrivateServer:
    """A private Redis 8, not started yet; the engine's image is one.

    Raises:
        NoServerError: There is none here.
    """
    return ContainerRedis() if engine_answers() else PrivateRedis(version="8")


@contextmanager
def shared(given: str | None, new: Callable[[], PrivateServer]) -> Iterator[Shared]:
    if given:
        yield Shared(url=given)
        return
    with new() as server:
        yield Shared(url=server.url)


def _have(wanted: str) -> None:
    """See that a server's program is installed, installing it where that is ours to do."""
    if PROGRAMS[wanted]() is None and packages.can_install():
        missing = [name for name, program in PROGRAMS.items() if program() is None]
        packages.install_packages(missing)
    if PROGRAMS[wanted]() is None:
        raise NoServerError(_advice(wanted))


def _advice(wanted: str) -> str:
    variable = "BROKER" if wanted == "rabbitmq-server" else "STORE"
    return (
        f"These tests need {wanted}, and there is no Docker engine, no such program, and no right"
        f" to install it. Start Docker, install {wanted} (it need not run), run as root on Debian"
        f" or Ubuntu, or give the address of one in LONGHAUL_TEST_{variable}_URL."
    )
