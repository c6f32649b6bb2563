"""Dead letters as they are sorted, filtered and grouped. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from common.jobs.head import Head
from common.jobs.indexes import caller_index
from common.jobs.state import LETTERS, JobState
from ingress.operations.search import Fields, Walk
from ingress.operations.wanted import indexes_of, names

Kind = Literal["dead", "lost", "token"]

# What tells two errors apart that are the same: quoted names, ids, numbers.
_OWN = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}(-[0-9a-f]{4,})*\b|\d+([.,:]\d+)*", re.IGNORECASE)
_DECIDES = ("state", "reason", "replayed_as", "tool", "finished_at")
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

    def walk(self, mine: str | None) -> Walk | None:
        """The walk that finds them among those of the caller `mine` (None: all callers')."""
        if None not in {mine, self.caller} and mine != self.caller:
            return None
        caller = mine or self.caller
        return Walk(
            indexes=indexes_of((self.state,) if self.state else tuple(sorted(LETTERS)), self.tool),
            within=None if caller is None else caller_index(caller),
            since=self.since,
            until=self.until,
            reads=_DECIDES,
            passes=self._passes,
        )

    def _passes(self, fields: Fields) -> bool:
        letter = fields["state"] in LETTERS  # not one that has finished after all
        return letter and bool(fields["replayed_as"]) == self.replayed and names(self.error, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """As much of a letter as tells what it died of."""

    id: str
    state: JobState
    tool: str
    reason: str
    at: int  # ms

    @classmethod
    def of(cls, job: str, fields: Fields) -> "Death":
        return cls(
            id=job,
            state=JobState(fields["state"]),
            tool=fields["tool"],
            reason=fields["reason"],
            at=int(fields["finished_at"] or 0),
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


def is_token(head: Head | Death) -> bool:
    """It stands for no job: bytes that nobody could read, or a token without a record."""
    return not head.tool and head.state is JobState.DEAD


def kind_of(head: Head | Death) -> Kind:
    if is_token(head):
        return "token"
    return "lost" if head.state is JobState.LOST else "dead"


def likeness(reason: str) -> str:
    """The same words for errors that differ in numbers and ids only."""
    return _OWN.sub("#", reason)


def group(deaths: Iterable[Death]) -> Sequence[Group]:
    """`deaths` are the newest first; the largest group comes first, then the newest."""
    alike: dict[str, str] = {}
    groups: dict[tuple[str, str, str], list[Death]] = {}
    for death in deaths:
        same = alike.get(death.reason)
        if same is None:
            same = alike[death.reason] = likeness(death.reason)
        groups.setdefault((kind_of(death), death.tool, same), []).append(death)
    found = [
        Group(
            kind=kind_of(members[0]),
            tool=members[0].tool,
            error=members[0].reason,
            count=len(members),
            first=members[-1].at,
            last=members[0].at,
            letters=[death.id for death in members[:EXAMPLES]],
        )
        for members in groups.values()
    ]
    return sorted(found, key=lambda each: (-each.count, -each.last))
