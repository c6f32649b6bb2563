"""Who is told of a commit, and what: the hints that follow once it is durable. Pure."""

from dataclasses import replace

from common.jobs.change import WATCH_END, WOKEN, Change
from common.jobs.endings import RESULT
from common.jobs.state import TERMINAL, JobState
from common.notifier.base import Hint, ingress_channel, worker_channel
from common.notifier.hints import INLINE_RESULT, JobHint, encode_hint
from common.store.replaying import Fields

_INLINE_STATES = frozenset({JobState.COMPLETED, JobState.FAILED})


def hints_of(job_id: str, before: Fields, after: Fields, change: Change) -> tuple[Hint, ...]:
    watchers, owner = names_in(after, "watchers"), str(before.get("owner", ""))
    wakes = change.wake_owner and owner
    if not watchers and not wakes:
        return ()
    state, version = JobState(str(after["state"])), int(after["version"])
    result = change.parts.get(RESULT)
    if state not in _INLINE_STATES or (result is not None and len(result) > INLINE_RESULT):
        result = None
    hint = JobHint(kind="state", job=job_id, state=state, version=version, body=change.name)
    payload = encode_hint(replace(hint, result=result))
    ended = state in TERMINAL
    hints = [
        Hint(ingress_channel(name), encode_hint(hint) if name in WOKEN else payload)
        for watcher in watchers
        for name in [watcher.removesuffix(WATCH_END)]
        if ended or watcher == name
    ]
    if wakes:
        hints.append(Hint(worker_channel(owner), payload))
    return tuple(hints)


def names_in(fields: Fields, name: str) -> list[str]:
    text = str(fields.get(name, ""))
    return text.split(",") if text else []
