"""News of documents: whose list has changed, told to every ingress, and there to clients."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from common.notifier.base import DOCUMENTS_CHANGED, NEWS, Notifier

Listener = Callable[[str], None]  # of the caller whose list has changed; empty: everyone's


class DocumentNews:
    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._listeners: set[Listener] = set()

    async def tell(self, owner: str) -> None:
        """Every ingress, this one too. Empty: everyone's list has changed."""
        await self._notifier.publish(NEWS, DOCUMENTS_CHANGED + owner.encode())

    def hear(self, payload: bytes) -> None:
        """What `tell` told, here or elsewhere."""
        owner = payload.removeprefix(DOCUMENTS_CHANGED).decode()
        for listener in tuple(self._listeners):
            listener(owner)

    def on_change(self, listener: Listener) -> AbstractContextManager[object]:
        """Call the listener after each change until the context ends."""
        self._listeners.add(listener)
        stack = ExitStack()
        stack.callback(self._listeners.discard, listener)
        return stack
