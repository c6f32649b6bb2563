"""The JSON of `/v1/batches`. Fields are added, never renamed."""

from typing import Any, Literal

from pydantic import Field, model_validator

from common.jobs.rows import ENDED
from ingress.api.job_view import rfc3339, rfc3339_or_none, show_callback
from ingress.api.shapes import Callback, NewCallback, Priority, Shape
from ingress.batches.look import Standing

SHA256 = r"^[0-9a-f]{64}$"


class NewRows(Shape):
    """A batch whose rows come as JSON, or are a document that was put there before."""

    tool: str = Field(description="as `/v1/tools` names it", examples=["exporter__export_rows"])
    rows: list[Any] | None = Field(default=None, examples=[[{"rows": 100}, {"rows": 200}]])
    blob: str | None = Field(
        default=None, pattern=SHA256, description="a document: JSONL, or CSV by its media type"
    )
    in_flight: int | None = Field(default=None, ge=1)
    priority: Priority | None = None
    callback: NewCallback | None = Field(default=None, description="told of its end, by a POST")

    @model_validator(mode="after")
    def _one_of_both(self) -> "NewRows":
        if (self.rows is None) == (self.blob is None):
            raise ValueError("should have either rows or a blob")
        return self


class Retry(Shape):
    lost: bool = Field(default=False, description="also rows whose tool may have run")


class RowError(Shape):
    error: str
    count: int
    rows: list[int] = Field(description="the first few, by number")


class Batch(Shape):
    id: str
    tool: str
    state: Literal["running", "completed", "cancelled"]
    caller: str
    rows: int | None = Field(description="null while unknown")
    created: int = Field(description="rows that became jobs")
    counts: dict[str, int] = Field(description="rows by how they ended; `waiting` have not")
    in_flight: int = Field(description="rows that are open at once, at most")
    rate: float = Field(description="rows that ran, per second lately; at last, over all its time")
    ends_in: float | None = Field(description="seconds, as it goes now")
    errors: list[RowError]
    waiting_because: str | None = Field(description="why no further row of it can begin now")
    created_at: str
    finished_at: str | None
    callback: Callback | None = Field(default=None, description="who is told of its end")


class BatchList(Shape):
    batches: list[Batch]
    cursor: str | None


def show_batch(standing: Standing) -> Batch:
    head, plan = standing.head, standing.plan
    counts = {share: standing.shares[share] for share in ENDED}
    return Batch(
        id=head.id,
        tool=head.tool,
        state=head.state.value,
        caller=head.caller,
        rows=plan.rows,
        created=standing.created,
        counts={"waiting": standing.waiting, **counts},
        in_flight=plan.in_flight,
        rate=round(standing.rate, 2),
        ends_in=None if standing.ends_in is None else round(standing.ends_in, 1),
        errors=[
            RowError(error=each.error, count=each.count, rows=list(each.rows))
            for each in standing.errors
        ],
        waiting_because=standing.hindered or None,
        created_at=rfc3339(head.created_at),
        finished_at=rfc3339_or_none(head.finished_at),
        callback=show_callback(head),
    )
