"""Parting: a call that was cancelled at its backend, until its tool has let go.

The protocol has no word for it. A backend that answers a cancelled call all the same has let go;
one that stops in silence, as it may, cannot be told from one that goes on in silence.
"""

import asyncio
from contextlib import suppress


class Parting:
    """One call's. Costs nothing unless the call is cancelled."""

    __slots__ = ("_over", "_signs")

    def __init__(self) -> None:
        self._over: asyncio.Event | None = None
        self._signs = 0

    @property
    def begun(self) -> bool:
        return self._over is not None

    @property
    def over(self) -> bool:
        """It was not cancelled, or has let go."""
        return self._over is None or self._over.is_set()

    def begin(self) -> None:
        """The backend is being told."""
        self._over = self._over or asyncio.Event()

    def sign_of_life(self) -> None:
        """It said something about the call: it still runs."""
        self._signs += 1

    def end(self) -> None:
        """It answered, or the connection over which it could is gone."""
        if self._over is not None:
            self._over.set()

    async def let_go(self, grace: float) -> bool:
        """True once the tool has let go; False when it is silent for `grace` seconds.

        A tool that goes on talking about the call is waited for.
        """
        while not self.over:
            heard = self._signs
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self.gone()
            if heard == self._signs and not self.over:
                return False
        return True

    async def gone(self) -> None:
        """Until it lets go, or its connection is gone, however long that takes."""
        if self._over is not None:
            await self._over.wait()
