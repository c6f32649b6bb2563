"""The ingress's copy of the catalogue, kept fresh; tells whoever listens that it changed."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack

import structlog

from common.catalogue import Catalogue, CatalogueTool, build_catalogue
from common.errors import StoreUnreachableError
from common.routing.rules import Rules
from common.runtime import Runtime

log = structlog.get_logger(__name__)

REFRESH = 30.0  # seconds; hints may be lost
RETRY = 1.0  # seconds, while the store is away


class CatalogueFeed:
    """`current` is always usable; it stays as it was while the store is away."""

    def __init__(self, runtime: Runtime, rules: Rules) -> None:
        self._runtime = runtime
        self._rules = rules
        self._stale = asyncio.Event()
        self._ruled_anew = False
        self._shape: Sequence[object] = ()
        self._listeners: set[Callable[[], None]] = set()
        self.current = Catalogue()
        self.loaded = asyncio.Event()

    def tool(self, name: str) -> CatalogueTool | None:
        """By its exposed name; None when nobody offers it."""
        return self.current.tools.get(name)

    def refresh_soon(self) -> None:
        """A hint came: the catalogue in the store has changed."""
        self._stale.set()

    def ruled_anew(self) -> None:
        """The rules are others: so may be what lists say of the same tools."""
        self._ruled_anew = True
        self.refresh_soon()

    def on_change(self, listener: Callable[[], None]) -> AbstractContextManager[object]:
        """Call the listener after each change until the context ends."""
        self._listeners.add(listener)
        stack = ExitStack()
        stack.callback(self._listeners.discard, listener)
        return stack

    async def run(self) -> None:
        while True:
            self._stale.clear()
            patience = REFRESH if await self._refresh() else RETRY
            try:
                async with asyncio.timeout(patience):
                    await self._stale.wait()
            except TimeoutError:
                continue

    async def _refresh(self) -> bool:
        try:
            entries = await self._runtime.store.catalogue()
        except StoreUnreachableError:
            return False
        fresh = build_catalogue(entries, namespaces=self._runtime.settings.namespaces)
        changed = fresh.digest != self.current.digest
        if changed or self._ruled_anew:
            self._ruled_anew, before, self._shape = False, self._shape, self._shape_of(fresh)
            changed |= self._shape != before
        self.current = fresh
        self.loaded.set()
        if changed:
            log.info("catalogue.changed", tools=len(fresh.tools), backends=len(fresh.entries))
            for listener in tuple(self._listeners):
                listener()
        return True

    def _shape_of(self, catalogue: Catalogue) -> Sequence[object]:
        """What the rules decide of it that clients see."""
        return [
            (tool.name, self._rules.for_tool(tool.name, tool.backend, tool.backend_tool).task)
            for tool in catalogue.tools.values()
        ]
