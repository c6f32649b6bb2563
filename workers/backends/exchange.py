"""One HTTP request and its answer: the seam behind which the HTTP client can be replaced.

Errors are told apart behind it by what can be proved about the request: not begun, or begun.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

CONNECT_LIMIT = 30.0  # seconds
ASIDE_LIMIT = 5.0  # seconds for what is said beside calls: notifications and answers
IDLE_LIMIT = 2.0  # seconds; servers close idle connections, mostly after 5


class Answer(Protocol):
    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str:
        """Its value, empty when it was not sent; the name in lower case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. A tool's silence is no error: there is no limit on waiting.

        Raises:
            ConnectionLost: It broke off.
        """
        ...


class Exchange(Protocol):
    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> AbstractAsyncContextManager[Answer]:
        """Send once, and be in the block when the answer's head is there; it ends with the block.

        Nothing is ever sent again. Leaving the block by an exception ends an unfinished answer.

        Raises:
            NotStarted: Not one byte was written.
            ConnectionLost: Something was, and no answer came.
        """
        ...

    async def aclose(self) -> None: ...
