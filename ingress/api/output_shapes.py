"""A job's output as the REST interface shows it."""

from pydantic import Field

from common.jobs.output import Kind, OutputEntry
from ingress.api.job_view import rfc3339
from ingress.api.shapes import Shape
from ingress.operations.output import Said


class OutputLine(Shape):
    number: int = Field(description="of a job's first entry 1, of each other one more")
    at: str
    tried: int = Field(description="the number of the try that said it")
    kind: Kind = Field(
        description="text: a piece of the tool's output; log: a line of its log; progress: a "
        "message with its progress"
    )
    text: str
    level: str | None = Field(description="of a log line")
    logger: str | None = Field(description="of a log line, when it names one")


class JobOutput(Shape):
    entries: list[OutputLine] = Field(description="the oldest first")
    cursor: str = Field(description="pass it on as `from` for what comes after")
    dropped: int = Field(description="how many after the cursor asked for are kept no more")
    more: bool = Field(description="there is more to read now")
    ended: bool = Field(description="the job has ended, and this is the last of its output")


def show_entry(entry: OutputEntry) -> OutputLine:
    return OutputLine(
        number=entry.number,
        at=rfc3339(entry.at),
        tried=entry.tried,
        kind=entry.kind,
        text=entry.text,
        level=entry.level or None,
        logger=entry.logger or None,
    )


def show_output(said: Said) -> JobOutput:
    return JobOutput(
        entries=[show_entry(entry) for entry in said.entries],
        cursor=str(said.cursor),
        dropped=said.dropped,
        more=said.more,
        ended=said.ended,
    )
