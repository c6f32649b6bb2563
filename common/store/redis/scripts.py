"""The Lua scripts, read from the files beside this one; each begins with the shared prelude.

What is the same in every call stands in the text as the table `C`, and each shape of change is a
script of its own: what a call sends are its values.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

from common.jobs.change import WOKEN
from common.jobs.head import RECORD_FORMAT
from common.jobs.output import OUTPUT_BYTES, OUTPUT_ENTRIES
from common.jobs.state import LETTERS, TERMINAL, JobState
from common.notifier.hints import INLINE_RESULT
from common.store.base import COMMITS_KEPT, EVENTS_KEPT, Timings
from common.store.redis.compiled import compiled
from common.store.redis.shape import Shape

# A full Redis still lets these take memory: what is there must be able to end, and who waits for
# that to ask. A limit of their own keeps sessions few.
SETTLING = ("note", "notes", "due", "put_off", "remove", "leases", "sessions", "document_remove")
NAMES = (
    *SETTLING,
    *("output", "glances", "drop_strays", "catalogue", "api_keys", "document_put"),
)
FLAGS = "#!lua flags=allow-oom\n"


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str  # as EVALSHA wants it


class Scripts:
    """Every script of a store by its name, and one for each shape of change that came by.

    Shapes are made of names that stand in the code, so there are as many as the code can make.
    """

    def __init__(self, timings: Timings) -> None:
        self._constants = _constants(timings)
        self._prelude = _source("prelude")
        self._commit = _source("commit")
        self._shapes: dict[Shape, Script] = {}
        self._named = {
            name: self._script(_source(name), settles=name in SETTLING) for name in NAMES
        }

    def __getitem__(self, name: str) -> Script:
        return self._named[name]

    def committing(self, shape: Shape) -> Script:
        """The script of one shape of change. A creation may be refused for want of memory."""
        script = self._shapes.get(shape)
        if script is None:
            text = compiled(self._commit, shape)
            script = self._shapes[shape] = self._script(text, settles=not shape.creates)
        return script

    def _script(self, text: str, *, settles: bool) -> Script:
        text = f"{FLAGS if settles else ''}{self._constants}{self._prelude}{text}"
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        return Script(text=text, sha=digest)


def _source(name: str) -> str:
    return (files("common.store.redis") / "lua" / f"{name}.lua").read_text()


def _constants(timings: Timings) -> str:
    judged = f"{{lease={timings.lease_ms},silence={timings.silence_ms},grace={timings.grace_ms}}}"
    return (
        f"local C = {{format={RECORD_FORMAT},inline={INLINE_RESULT},timings={judged},"
        f"commits_kept={COMMITS_KEPT},events_kept={EVENTS_KEPT},"
        f"output_entries={OUTPUT_ENTRIES},output_bytes={OUTPUT_BYTES},"
        f"terminal={_states(TERMINAL)},letters={_states(LETTERS)},wakes={_names(WOKEN)}}}\n"
    )


def _states(states: Iterable[JobState]) -> str:
    return _names(map(str, states))


def _names(names: Iterable[str]) -> str:
    return "{" + ",".join(f"{name}=true" for name in sorted(names)) + "}"
