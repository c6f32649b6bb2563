"""Holding: a request kept open until its job ends, its patience does, or the process stops."""

import math
from collections.abc import Container

from common.clock import Clock
from common.jobs.state import TERMINAL
from common.notifier.hints import JobHint
from ingress.mcp.exchange import Exchange
from ingress.mcp.voice import Voice
from ingress.operations.follow import Watch

LAST_CALL = 1.0  # seconds that a held request still gets once the process is about to stop
LOOK = 1.0  # seconds between two looks whether a client is still there, while the process drains


class Holding:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: set[Watch] = set()
        self._drains = False
        self._ends_at = math.inf  # of everything held, on the monotonic clock

    @property
    def ends(self) -> bool:
        """The process is about to stop."""
        return self._ends_at < math.inf

    def drain(self) -> None:
        """The process was asked to stop: nobody stays for a client that has gone."""
        self._drains = True
        for watch in self._held:
            watch.wake()

    def stop(self) -> None:
        """The process is about to stop: who is held is answered soon."""
        self._ends_at = self._clock.monotonic() + LAST_CALL
        for watch in self._held:
            watch.wake()

    async def until_end(
        self,
        exchange: Exchange,
        watch: Watch,
        voice: Voice | None,
        until: float,
        stops: Container[str] = TERMINAL,
        *,
        alone: bool = True,
    ) -> JobHint | None:
        """The end of the job; None when the caller was held until then (monotonic clock).

        `stops` are the states that count as an end. A request goes on without its client, which may
        still cancel it, unless `alone` is false or the process drains.
        """
        self._held.add(watch)
        if not alone:
            exchange.on_gone = watch.wake
        try:
            while True:
                until = min(until, self._ends_at)
                if exchange.gone and (self._drains or not alone):
                    return None
                if exchange.gone:  # nobody to tell, and no answer to give: the job's end ends this
                    until, voice = math.inf, None
                left = until - self._clock.monotonic()
                if left <= 0 and watch.end is None:
                    return None
                patience = min(left, voice.patience()) if voice is not None else left
                patience = min(patience, LOOK) if self._drains else patience
                hint = await watch.next(None if patience == math.inf else patience)
                if hint is not None and hint.kind == "state" and hint.state in stops:
                    return hint
                if voice is not None:
                    await (voice.tick() if hint is None else voice.hear(hint))
        finally:
            self._held.discard(watch)
