"""Voice: what one held call says to its caller before the answer: progress, heartbeats, logs."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import mcp_types as types
from mcp.server.session import ServerSession

from common.clock import Clock
from common.notifier.hints import JobHint
from common.pace import Pace
from ingress.mcp.progress import sequence

RATE = 5  # progress notifications in any second
FIRST_WORD = 2.0  # seconds: a call that takes longer tells early where it stands


class LogLine(types.Notification[dict[str, Any], Literal["notifications/message"]]):
    """A backend's log line, its params verbatim."""

    method: Literal["notifications/message"] = "notifications/message"


class Voice:
    """Progress of strictly growing values at a bounded pace, the newest wins; log lines in order.

    `describe` gives a heartbeat's words.
    """

    def __init__(
        self,
        session: ServerSession,
        request_id: types.RequestId | None,
        clock: Clock,
        heartbeat: float,
        levels: frozenset[str],
        describe: Callable[[], Awaitable[str]] | None,
    ) -> None:
        self._session = session
        self._request_id = request_id
        self._clock = clock
        self._heartbeat = heartbeat
        self._levels = levels
        self._describe = describe  # None: no progress was asked for
        self._last: float | None = None
        self._total: float | None = None
        self._pace = Pace(RATE)
        self._pending: JobHint | None = None
        self._speak_at = clock.monotonic() + min(FIRST_WORD, heartbeat)

    def patience(self) -> float:
        """Seconds until `tick` has something to do."""
        if self._describe is None:
            return math.inf
        now = self._clock.monotonic()
        if self._pending is not None:
            return self._pace.wait(now)
        return max(0.0, self._speak_at - now)

    async def hear(self, hint: JobHint) -> None:
        if hint.kind == "log":
            await self._log(hint.body)
        elif hint.kind == "progress" and self._describe is not None:
            self._pending = hint
            await self._relay()

    async def tick(self) -> None:
        """What was held back, or a sign of life."""
        if self._pending is not None:
            await self._relay()
        elif self._describe is not None and self._clock.monotonic() >= self._speak_at:
            await self._say(None, await self._describe())

    async def _relay(self) -> None:
        pending = self._pending
        if pending is None or self._pace.wait(self._clock.monotonic()) > 0:
            return
        self._pending = None
        value, self._total, message = pending.body
        await self._say(value, message)

    async def _say(self, value: float | None, message: str | None) -> None:
        now = self._clock.monotonic()
        self._last = sequence(self._last, value)
        self._pace = self._pace.after(now)
        self._speak_at = now + self._heartbeat
        await self._session.report_progress(self._last, self._total, message)

    async def _log(self, params: Mapping[str, Any]) -> None:
        if params.get("level") in self._levels:
            line: Any = LogLine(params=dict(params))
            await self._session.send_notification(line, related_request_id=self._request_id)
