"""A fault under way: made in a thread, so that whoever watches the probes is not held up by it."""

import threading
from types import TracebackType
from typing import Self

from common.clock import SystemClock
from longhaul.drill.faults import Harm
from longhaul.exits import CommandError


class Strike:
    """Made when entered, mended after its time, or when left, whatever happened."""

    def __init__(self, harm: Harm, clock: SystemClock) -> None:
        self._harm = harm
        self._clock = clock
        self._over = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="fault")
        self._at = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return self._clock.monotonic() - self._at

    def check(self) -> None:
        """Raises: CommandError: The fault could not be made, or not be mended."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._at = self._clock.monotonic()
        try:
            self._thread.start()
        except BaseException:  # a signal in here: the fault may be made all the same
            self._over.set()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:  # nobody watches any more: mend it now
            self._over.set()
        try:
            self._thread.join()
        finally:  # also when it was interrupted only now
            self._over.set()
        if kind is None:
            self.check()

    def _run(self) -> None:
        try:
            mend = self._harm.make()
            if mend is not None:
                self._over.wait(self._harm.hold)
                mend()
        except (CommandError, OSError) as error:
            self._error = error
