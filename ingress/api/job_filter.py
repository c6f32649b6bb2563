"""The query of `GET /v1/jobs`. Parameters are added, never renamed."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime, Field

from common.jobs.state import JobState
from ingress.api.shapes import Shape
from ingress.operations.wanted import Wanted

_TIME = "RFC 3339, with its time zone"
_OF_WHAT = "; with `state`, `tool` or `error` it is the time of their last change that counts"


class JobFilter(Shape):
    """Which jobs; what is left out does not matter."""

    state: JobState | None = None
    tool: str | None = None
    caller: str | None = Field(default=None, description="whose; an operator sees all callers'")
    since: AwareDatetime | None = Field(
        default=None, description=f"created at this time or later ({_TIME}){_OF_WHAT}"
    )
    until: AwareDatetime | None = Field(default=None, description="created before, likewise")
    error: str | None = Field(
        default=None,
        min_length=1,
        description="part of the error, in capitals or not, of what is failed, dead or lost",
    )
    limit: Annotated[int, Query(ge=1, le=500)] = 50
    cursor: str | None = None

    def wanted(self) -> Wanted:
        return Wanted(
            state=self.state,
            tool=self.tool,
            caller=self.caller,
            since=_ms(self.since),
            until=_ms(self.until),
            error=self.error,
        )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
