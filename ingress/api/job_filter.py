"""The query of `GET /v1/jobs`. Parameters are added, never renamed."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from common.jobs.state import JobState
from ingress.api.moments import When, ms_or_none
from ingress.api.shapes import Shape
from ingress.operations.wanted import Wanted

_OF_WHAT = "; with `state`, `tool` or `error` it is the time of their last change that counts"


class JobFilter(Shape):
    """Which jobs; what is left out does not matter."""

    state: JobState | None = None
    tool: str | None = None
    caller: str | None = Field(default=None, description="whose; an operator sees all callers'")
    since: When | None = Field(default=None, description=f"created at this time or later{_OF_WHAT}")
    until: When | None = Field(default=None, description="created before, likewise")
    error: str | None = Field(
        default=None,
        min_length=1,
        description="part of the error, in capitals or not, of what is failed, dead or lost",
    )
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    cursor: str | None = None

    def wanted(self, now: float) -> Wanted:
        """`now` in seconds since the epoch."""
        return Wanted(
            state=self.state,
            tool=self.tool,
            caller=self.caller,
            since=ms_or_none(self.since, now),
            until=ms_or_none(self.until, now),
            error=self.error,
        )
