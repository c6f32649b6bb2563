"""A private RabbitMQ, from an installed program or out of the folder with 4.3."""

import os
import secrets
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from typing_extensions import override

from tests.support import forky
from tests.support.guardian import Command
from tests.support.ports import DISTRIBUTION, EPMD
from tests.support.private import SYSTEM_PATH, NoServerError, PrivateProcess
from tests.support.probes import answers_amqp

# The package's own program. What Debian has on the PATH changes the user and the folders.
PACKAGED = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# A year: before 4.3 only the server's own configuration lets a delivery stay open for long.
SETTINGS = {"consumer_timeout": "31536000000", "disk_free_limit.absolute": "50MB"}
# On this machine only, two schedulers that do not spin: several share two cores. A delivery that is
# open for too long is found out in half a second, not in a minute.
LOOKS = "-rabbit channel_tick_interval 500"
ERLANG = f"-kernel inet_dist_use_interface {{127,0,0,1}} +S 2:2 +sbwt none {LOOKS}"


def program() -> str | None:
    return str(PACKAGED) if PACKAGED.exists() else shutil.which("rabbitmq-server")


class PrivateRabbit(PrivateProcess):
    """RabbitMQ with the factory's guest user; `settings` are lines of rabbitmq.conf that differ."""

    name = "rabbitmq"

    def __init__(
        self, *, version: Literal["4.3"] | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._root = forky.root() if version else None
        super().__init__(inside=self._root and self._root / "lh")
        self.settings = SETTINGS | dict(settings or {})  # as its next start has them

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @override
    def start(self) -> None:
        self._furnish()
        super().start()

    @override
    def command(self) -> Command:
        if self._root:
            return Command(argv=_within(self._root, self._environment()), env={"PATH": SYSTEM_PATH})
        if found := program():
            return Command(argv=[found], env=self._environment())
        raise NoServerError("rabbitmq-server is not installed")

    @override
    def companion(self) -> Command | None:
        """Erlang's port mapper. Started by the server it would outlive it, and nobody owned it."""
        listen = ["-address", "127.0.0.1", "-port", str(self.port + EPMD)]
        if self._root:
            argv = ["chroot", str(self._root), "epmd", *listen]
            return Command(argv=argv, env={"PATH": SYSTEM_PATH})
        found = shutil.which("epmd", path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}")
        return Command(argv=[found, *listen], env={}) if found else None

    @override
    def answers(self) -> bool:
        return answers_amqp("127.0.0.1", self.port)

    def _furnish(self) -> None:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(10))
            cookie.chmod(0o400)
        inside = forky.inside(self.folder, self._root)
        places = {
            "listeners.tcp.default": f"127.0.0.1:{self.port}",
            "log.file": f"{inside}/rabbitmq.log",
            "log.console": "false",
        }
        lines = [f"{key} = {value}\n" for key, value in (places | self.settings).items()]
        (self.folder / "rabbitmq.conf").write_text("".join(lines))
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        inside = forky.inside(self.folder, self._root)
        path = SYSTEM_PATH if self._root else f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
        return {
            "PATH": path,
            "LANG": "C.UTF-8",
            "HOME": f"{inside}/home",
            "RABBITMQ_BASE": inside,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{inside}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{inside}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{inside}/mnesia",
            "RABBITMQ_LOG_BASE": inside,
            "RABBITMQ_PID_FILE": f"{inside}/pid",
            "RABBITMQ_NODENAME": f"lh{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.port + DISTRIBUTION),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
            "ERL_EPMD_PORT": str(self.port + EPMD),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }


def _within(root: Path, environment: Mapping[str, str]) -> list[str]:
    """Out of another system's folder; its /proc is mounted where only this server sees it."""
    words = [f"{key}={value}" for key, value in environment.items()]
    run = ["chroot", str(root), "/usr/bin/env", "-i", *words, str(PACKAGED)]
    script = f"mount -t proc proc {shlex.quote(str(root))}/proc && exec {shlex.join(run)}"
    return ["unshare", "--mount", "--propagation", "private", "bash", "-c", script]
