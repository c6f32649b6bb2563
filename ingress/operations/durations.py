"""How long the jobs of each tool have taken, as far as this process was asked for their ends."""

from common.jobs.head import Head

WEIGHT = 0.2  # of the newest one


class Durations:
    def __init__(self) -> None:
        self._of_tool: dict[str, float] = {}  # ms from creation to end, a moving average

    def saw(self, head: Head) -> None:
        """A job that has ended."""
        took = head.finished_at - head.created_at
        if head.finished_at and took >= 0:
            before = self._of_tool.get(head.tool, took)
            self._of_tool[head.tool] = before + WEIGHT * (took - before)

    def of(self, tool: str) -> int | None:
        """Milliseconds to expect; None for a tool of which nothing was seen."""
        known = self._of_tool.get(tool)
        return None if known is None else round(known)
