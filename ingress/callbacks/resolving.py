"""Names to addresses, in threads of their own: a slow name keeps nothing else waiting."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

from common.config.model import Callbacks
from common.errors import CallbackRefusedError
from ingress.callbacks.target import IpAddress, Reach, Target, read_target

THREADS = 8
AT_SUBMISSION = 3.0  # seconds; a name that takes longer is judged when it is sent to


class NoSuchNameError(Exception):
    """The name has no address."""


class Resolver:
    def __init__(self, settings: Callbacks) -> None:
        self._reach = Reach(settings.allow)
        self._set_up = bool(settings.secrets)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="callback-names")

    async def check(self, url: str) -> None:
        """What can be told before a job is accepted; all of it is looked at again when it is sent.

        Raises:
            CallbackRefusedError: It may not be asked, there is no such name, or nothing signs.
        """
        if not self._set_up:
            raise CallbackRefusedError(
                "callbacks are not set up here: LONGHAUL_CALLBACK_SECRET signs them"
            )
        target = read_target(url)
        try:
            async with asyncio.timeout(AT_SUBMISSION):
                addresses = await self._addresses(target)
        except NoSuchNameError:
            raise CallbackRefusedError(f"the callback's host {target.host} is not known") from None
        except (TimeoutError, OSError):
            return
        for address in addresses:
            if why := self._reach.refusal(target, address):
                raise CallbackRefusedError(why)

    async def permitted(self, target: Target) -> Sequence[IpAddress]:
        """Where it may be asked now; at least one.

        Raises:
            CallbackRefusedError: Nowhere.
            NoSuchNameError: No such name.
            OSError: Nobody can tell now.
        """
        addresses = await self._addresses(target)
        found = [each for each in addresses if not self._reach.refusal(target, each)]
        if not found:
            raise CallbackRefusedError(self._reach.refusal(target, addresses[0]))
        return found

    async def _addresses(self, target: Target) -> Sequence[IpAddress]:
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(self._threads, _look_up, target.host, target.port)
        except socket.gaierror as error:
            if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None)}:
                raise NoSuchNameError(target.host) from None
            raise
        except UnicodeError:  # a label that is empty or too long
            raise NoSuchNameError(target.host) from None
        return [ip_address(address) for address in dict.fromkeys(rows)]


def _look_up(host: str, port: int) -> list[str]:
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in rows]
