"""Dead letters as they are sorted, filtered and grouped. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from common.jobs.head import Head
from common.jobs.state import JobState

Kind = Literal["dead", "lost", "token"]

# What tells two errors apart that are the same: quoted names, ids, numbers.
_OWN = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}(-[0-9a-f]{4,})*\b|\d+([.,:]\d+)*", re.IGNORECASE)
EXAMPLES = 5  # ids that a group names


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which letters; None: any."""

    state: JobState | None = None
    tool: str | None = None
    caller: str | None = None
    error: str | None = None  # part of what went wrong, in capitals or not
    since: int | None = None  # ms; dead at or after
    until: int | None = None  # ms; dead before
    replayed: bool = False  # those that somebody has replayed, instead of those that wait

    def fits(self, head: Head) -> bool:
        return (
            self.state in {None, head.state}
            and self.tool in {None, head.tool}
            and self.caller in {None, head.caller}
            and (self.error is None or self.error.lower() in head.reason.lower())
            and (self.since is None or head.finished_at >= self.since)
            and (self.until is None or head.finished_at < self.until)
            and bool(head.replayed_as) == self.replayed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of one letter; neither `job` nor `refused`: a dry run, it would be replayed."""

    letter: str
    job: str = ""
    new: bool = True  # False: it had been replayed before
    refused: str = ""  # why not
    again: bool = False  # refused for now: later it may be replayed
    missing: bool = False  # refused: there is no such letter, or not for this caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Letters that died of the same."""

    kind: Kind
    tool: str
    error: str  # of the newest, in full
    count: int
    first: int  # ms
    last: int
    letters: Sequence[str]  # the newest few


def is_token(head: Head) -> bool:
    """It stands for no job: bytes that nobody could read, or a token without a record."""
    return not head.tool and head.state is JobState.DEAD


def kind_of(head: Head) -> Kind:
    if is_token(head):
        return "token"
    return "lost" if head.state is JobState.LOST else "dead"


def likeness(reason: str) -> str:
    """The same words for errors that differ in numbers and ids only."""
    return _OWN.sub("#", reason)


def group(heads: Iterable[Head]) -> Sequence[Group]:
    """`heads` are the newest first; the largest group comes first, then the newest."""
    groups: dict[tuple[str, str, str], list[Head]] = {}
    for head in heads:
        groups.setdefault((kind_of(head), head.tool, likeness(head.reason)), []).append(head)
    found = [
        Group(
            kind=kind_of(members[0]),
            tool=members[0].tool,
            error=members[0].reason,
            count=len(members),
            first=members[-1].finished_at,
            last=members[0].finished_at,
            letters=[head.id for head in members[:EXAMPLES]],
        )
        for members in groups.values()
    ]
    return sorted(found, key=lambda each: (-each.count, -each.last))
