"""A private Redis, from an installed program."""

import shutil
from collections.abc import Mapping
from typing import Literal

from typing_extensions import override

from tests.support import forky
from tests.support.guardian import Command
from tests.support.private import SYSTEM_PATH, NoServerError, PrivateProcess
from tests.support.probes import answers_redis

SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}


def as_options(settings: Mapping[str, str]) -> list[str]:
    return [word for key, value in settings.items() for word in (f"--{key}", value)]


def program() -> str | None:
    return shutil.which("redis-server")


class PrivateRedis(PrivateProcess):
    """Redis as Longhaul wants it; `settings` are lines of redis.conf that differ."""

    name = "redis"

    def __init__(
        self, *, version: Literal["8"] | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._root = forky.root() if version else None
        super().__init__(inside=self._root and self._root / "lh")
        self._settings = SETTINGS | dict(settings or {})

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @override
    def command(self) -> Command:
        folder = forky.inside(self.folder, self._root)
        places = {"bind": "127.0.0.1", "port": str(self.port), "dir": folder}
        settings = places | {"pidfile": f"{folder}/pid", "daemonize": "no"} | self._settings
        return Command(argv=[*self._program(), *as_options(settings)], env={"PATH": SYSTEM_PATH})

    @override
    def answers(self) -> bool:
        return answers_redis("127.0.0.1", self.port)

    def _program(self) -> list[str]:
        if self._root:
            return ["chroot", str(self._root), "redis-server"]
        if found := program():
            return [found]
        raise NoServerError("redis-server is not installed")
