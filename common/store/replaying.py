"""What a replay does to the dead letter that it replays: the guard `Replays`, executed. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.jobs.change import Replays
from common.jobs.head import is_newer
from common.jobs.state import LETTERS
from common.store.base import Event

Fields = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """The letter's record after the commit; it enters the index `REPLAYED`, too."""

    job_id: str
    fields: Fields
    event: Event


def may_replay(letter: Fields, job_id: str) -> bool:
    """Whether this job may be the letter's replay. Nothing replays what is no letter, or what a
    newer release wrote.
    """
    ours = not is_newer(letter) and letter.get("state") in LETTERS
    return ours and replay_of(letter) in {"", job_id}


def replay_of(letter: Fields) -> str:
    """The job that it was replayed as."""
    return str(letter.get("replayed_as") or "")


def replayed(guard: Replays, letter: Fields, job_id: str, now: int) -> Letter:
    version = int(letter["version"]) + 1
    facts = {"replayed_as": job_id, "by": guard.by}
    return Letter(
        job_id=guard.letter,
        fields={**letter, "replayed_as": job_id, "version": version},
        event=Event(number=version, at=now, name="replayed", facts=facts),
    )
