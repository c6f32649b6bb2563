"""The doorstep: in front of the door. Once the process is asked to stop nobody else comes in.

Pure ASGI. Whoever is inside is served to the end; health is told to the last.
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from ingress.errors import STOPPING, respond

OPEN = frozenset({"/livez", "/readyz", "/metrics"})


class Doorstep:
    def __init__(self, app: ASGIApp, stopping: asyncio.Event) -> None:
        self._app = app
        self._stopping = stopping
        self._inside = 0
        self._empty = asyncio.Event()

    async def empty(self) -> None:
        """Until nobody is inside."""
        while self._inside:
            self._empty.clear()
            await self._empty.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        if self._stopping.is_set():
            await respond(STOPPING)(scope, receive, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()
