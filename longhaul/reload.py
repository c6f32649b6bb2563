"""Reload: the configuration once more while a role runs, and what of it may change then."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable

import structlog

from common.config.load import Loaded
from common.config.model import Listen, Settings
from common.config.problems import ConfigError
from common.config.validate import check_listen
from longhaul.assignment import RoleError
from longhaul.terminal import on_a_terminal

log = structlog.get_logger(__name__)

# Everything else is in use by connections, files and other processes from the start on.
LIVE = frozenset(
    {
        *("answering", "backends", "clients", "drain", "log_level", "queues", "retention", "tools"),
        "listen.api_keys",
    }
)


class Reload:
    """`settings` are those in force; `read` answers what file, environment and options say now."""

    def __init__(self, settings: Settings, read: Callable[[], Loaded]) -> None:
        self.settings = settings
        self._read = read

    def __call__(self) -> Settings | None:
        """The settings from now on; None: all stays as it is, and the log says why."""
        try:
            loaded = self._read()
            changed = self._changed(loaded.settings)
        except (ConfigError, RoleError, OSError) as error:  # the working folder may be gone
            problems = error.problems if isinstance(error, ConfigError) else [error]
            said = [str(each) for each in problems]
            log.error("config.not_reloaded", problems=said, help="nothing has changed")  # noqa: TRY400 - the trace says nothing about a file
            return None
        if changed:
            self.settings = loaded.settings
        warnings = [str(each) for each in loaded.warnings]
        log.info("config.reloaded", changed=changed, warnings=warnings)
        return self.settings if changed else None

    async def at(self, asked: AsyncIterator[None]) -> AsyncIterator[Settings]:
        """Each time that it is asked for: the settings from then on, where any are new."""
        async for _ in asked:
            settings = self()
            if settings is not None:
                yield settings

    def _changed(self, wanted: Settings) -> list[str]:
        """Raises: RoleError: Not while this process runs."""
        if problem := check_listen(wanted.listen):
            raise RoleError(problem.message)
        changed = changes(self.settings, wanted)
        if fixed := [name for name in changed if name not in LIVE]:
            raise RoleError(f"{', '.join(fixed)}: only a restart changes that")
        return changed


def changes(before: Settings, after: Settings) -> list[str]:
    """The settings that differ, by name; those of `listen` one by one. Pure."""
    names = [name for name in Settings.model_fields if name != "listen"]
    found = [name for name in names if getattr(before, name) != getattr(after, name)]
    one, other = before.listen, after.listen
    found += [
        f"listen.{name}"
        for name in Listen.model_fields
        if getattr(one, name) != getattr(other, name)
    ]
    return sorted(found)


class HangUps:
    """SIGHUPs from its making on, where that asks for a reload; many at once are one.

    Made as early as can be: until then a SIGHUP ends the process.
    """

    def __init__(self) -> None:
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as under nohup
        self._wanted = not ignored and not on_a_terminal()  # there it is a request to end
        self._came = False  # while nobody listened
        if self._wanted:
            signal.signal(signal.SIGHUP, self._note)

    def _note(self, *_: object) -> None:
        self._came = True

    async def heard(self) -> AsyncIterator[None]:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        if not self._wanted:
            await loop.create_future()
        loop.add_signal_handler(signal.SIGHUP, heard.set)
        if self._came:
            heard.set()
        try:
            while True:
                await heard.wait()
                heard.clear()
                yield
        finally:  # what comes now is for nobody, and should not end an orderly end
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, self._note)
