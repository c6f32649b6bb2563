"""Looks: whether a replica that has no call still answers, and what a configured probe says.

A replica with calls is not looked at: one that runs a tool on its only thread answers nothing else
meanwhile, and how the calls go tells more.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from common.config.model import Health
from workers.backends.base import BackendError
from workers.backends.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the looks at one replica have shown, over its lives."""

    failed: int = 0  # in a row
    error: str | None = None  # of the newest, when it failed

    def after(self, error: str | None) -> "Seen":
        return Seen() if error is None else Seen(failed=self.failed + 1, error=error)

    def unhealthy(self, rule: Health) -> bool:
        return self.failed >= rule.unhealthy_after


async def look(session: Session, rule: Health) -> str | None:
    """What is wrong; None when it answers."""
    try:
        async with asyncio.timeout(rule.timeout):
            if rule.probe is None:
                await session.ping()
                return None
            result = await session.probe(rule.probe.tool, rule.probe.arguments)
    except TimeoutError:
        return f"no answer within {rule.timeout:g} s"
    except BackendError as error:
        return error.message
    failed = result.get("isError") is True
    return f"its probe {rule.probe.tool} reports an error" if failed else None


class Looked(Protocol):
    """A replica, as far as looking at it goes."""

    in_flight: int

    def looked(self, error: str | None) -> None: ...


async def keep_looking(replica: Looked, session: Session, rule: Health, sleep: "Sleep") -> None:
    """Until cancelled."""
    while True:
        await sleep(rule.interval)
        if replica.in_flight:
            continue
        error = await look(session, rule)
        if not replica.in_flight:  # else a call came in between, and it is busy
            replica.looked(error)


class Sleep(Protocol):
    async def __call__(self, seconds: float, /) -> None: ...
