"""A store without a store: plain dictionaries under the same interpreter."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.jobs.change import Change, Done, Note, Refused, Room
from common.jobs.head import Head, decode_head
from common.jobs.indexes import DUE, REPLAYED, memberships
from common.store.interpret import Plan, Repeated, interpret, interpret_note, number


@dataclass
class Model:
    """Leases beat for ever until they are released; `now` comes from the store it is held to."""

    records: dict[str, Mapping[str, str | int]] = field(default_factory=dict)
    indexes: dict[str, dict[str, float]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    events: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)

    def head(self, job_id: str) -> Head | None:
        fields = self.records.get(job_id)
        return None if fields is None else decode_head(fields)

    def commit(
        self, job_id: str, change: Change, version: int, commit_id: str, now: int
    ) -> Done | Refused:
        before = self.records.get(job_id)
        plan = interpret(
            job_id, before, change, version=version, commit_id=commit_id, now=now, known=self
        )
        match plan:
            case Refused():
                return plan
            case Repeated():
                return Done(version=number(before or {}, "version"), now=now)
            case Plan():
                self.records[job_id] = plan.fields
                self._move(job_id, {**plan.moves, DUE: plan.due})
                self.keys |= dict.fromkeys(plan.keys, job_id)
                event = plan.event.number, plan.event.name
                self.events.setdefault(job_id, []).append(event)
                for letter in plan.letters:
                    self.records[letter.job_id] = letter.fields
                    self._move(letter.job_id, {REPLAYED: letter.event.at})
                    event = letter.event.number, letter.event.name
                    self.events[letter.job_id].append(event)
                return Done(version=plan.version, now=now)

    def note(self, job_id: str, note: Note, now: int) -> bool:
        before = self.records.get(job_id)
        noted = None if before is None else interpret_note(before, note, now)
        if noted is None:
            return False
        self.records[job_id] = noted[0]
        return True

    def remove(self, job_id: str, version: int) -> bool:
        head = self.head(job_id)
        if head is None or head.version != version:
            return False
        self._move(job_id, dict.fromkeys((DUE, *memberships(head))))
        self.keys = {key: job for key, job in self.keys.items() if job != job_id}
        del self.records[job_id]
        del self.events[job_id]
        return True

    def release(self, lease: str, now: int) -> None:
        self.alive.discard(lease)
        for job_id in self.indexes.get(f"owner:{lease}", {}):
            self.indexes[DUE][job_id] = now

    def _move(self, job_id: str, moves: Mapping[str, float | None]) -> None:
        for index, score in moves.items():
            entries = self.indexes.setdefault(index, {})
            if score is None:
                entries.pop(job_id, None)
            else:
                entries[job_id] = score

    # --- what guards ask

    def lease_alive(self, lease: str) -> bool:
        return lease in self.alive

    def lease_gone(self, lease: str) -> bool:
        return lease != "" and lease not in self.alive

    def has_room(self, guard: Room) -> bool:
        scores = self.indexes.get(guard.index, {}).values()
        least = guard.at_least
        return sum(least is None or score >= least for score in scores) < guard.limit

    def highest(self, index: str) -> float:
        return max(self.indexes.get(index, {}).values(), default=0.0)

    def due(self, job_id: str) -> float | None:
        return self.indexes.get(DUE, {}).get(job_id)

    def holder(self, key: str) -> str | None:
        return self.keys.get(key)

    def record(self, job_id: str) -> Mapping[str, str | int] | None:
        return self.records.get(job_id)
