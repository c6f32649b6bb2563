"""The JSON of `/v1/dead-letters`. Fields are added, never renamed."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from common.jobs.state import JobState
from ingress.api.moments import When, ms_or_none
from ingress.api.shapes import Checkpoint, JobError, Shape
from ingress.operations.letters import Kind, Wanted

State = Literal["dead", "lost"]
KIND = "`dead`: its tries are used up; `lost`: it may have run; `token`: bytes without a job"


class Filter(Shape):
    """Which letters; what is left out does not matter."""

    state: State | None = None
    tool: str | None = None
    caller: str | None = None
    error: str | None = Field(default=None, description="part of the error, in capitals or not")
    since: When | None = Field(default=None, description="dead at this time or later")
    until: When | None = Field(default=None, description="dead before")
    replayed: bool = Field(
        default=False, description="those that were replayed, instead of those that wait"
    )

    def wanted(self, now: float) -> Wanted:
        """`now` in seconds since the epoch."""
        return Wanted(
            state=None if self.state is None else JobState(self.state),
            tool=self.tool,
            caller=self.caller,
            error=self.error,
            since=ms_or_none(self.since, now),
            until=ms_or_none(self.until, now),
            replayed=self.replayed,
        )


class DeadLetter(Shape):
    id: str = Field(description="the job's")
    kind: Kind = Field(description=KIND)
    tool: str | None = Field(description="null: a token without a job")
    queue: str
    caller: str | None
    error: str = Field(description="what it died of, in one sentence")
    tries: int
    attempts: int | None
    repeatable: bool
    repeatable_from: str
    created_at: str
    died_at: str
    checkpoint: Checkpoint | None = Field(description="from which a replay goes on")
    replay_of: str | None = Field(description="the letter that this job was a replay of")
    replayed_as: str | None = Field(description="the job that it was replayed as")


class Try(Shape):
    """One run, by one worker."""

    worker: str
    started_at: str
    ended_at: str | None
    ended: str = Field(description="the event that ended it: retried, rescued, lost, dead …")
    why: str
    error: JobError | None


class WholeLetter(DeadLetter):
    arguments: dict[str, Any] | None
    job_error: JobError | None = Field(description="as the job's caller got it")
    history: list[Try] = Field(description="every try, as far as the newest 256 events tell")
    history_complete: bool = Field(description="false: earlier tries are no longer kept")
    raw: str | None = Field(description="Base64 of the bytes of a token without a job")


class LetterGroup(Shape):
    """Letters that died of the same, whatever numbers and ids their errors name."""

    kind: Kind = Field(description=KIND)
    tool: str | None
    error: str = Field(description="of the newest")
    count: int
    first_at: str
    last_at: str
    letters: list[str] = Field(description="ids of the newest few")


class DeadLetters(Shape):
    letters: list[DeadLetter] = Field(description="empty where groups were asked for")
    groups: list[LetterGroup] | None = Field(description="the largest first; with `group=error`")
    complete: bool = Field(description="false: there are more than were looked at for the groups")
    cursor: str | None = Field(description="pass it on for the next page; null: there is none")


class ReplayOne(Shape):
    arguments: dict[str, Any] | None = Field(
        default=None, description="instead of the job's own; they must fit the tool's schema"
    )
    lost: bool = Field(
        default=False, description="replay a job that may have run: somebody looked whether it did"
    )
    from_start: bool = Field(default=False, description="not from its checkpoint, if it has one")


class ReplayMany(Filter):
    """Either `ids`, or `all` that match the filter, a page at a time."""

    ids: list[str] | None = Field(default=None, max_length=200)
    all: bool = False
    lost: bool = Field(default=False, description="also those that may have run")
    from_start: bool = Field(default=False, description="not from their checkpoints")
    dry_run: bool = Field(default=False, description="say what would happen, and do nothing")
    cursor: str | None = Field(default=None, description="of the answer before, for the rest")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.ids is not None) == self.all:
            raise ValueError("give either `ids`, or `all: true` with a filter if you like")
        return self


class Replayed(Shape):
    id: str = Field(description="of the letter")
    job: str | None = Field(description="that it runs again as; null: refused, or a dry run")
    new: bool = Field(description="false: it had been replayed before, or is not")
    refused: str | None = Field(description="why it is not replayed")
    again: bool = Field(description="refused for now: try again later")
    missing: bool = Field(description="refused: there is no such letter")


class ReplayedMany(Shape):
    dry_run: bool
    letters: list[Replayed]
    cursor: str | None = Field(description="there may be more: ask again with it")
