"""The Lua scripts, read from the files beside this one; each begins with the shared prelude.

What is the same in every call stands in the text as the table `C`: it is not sent each time.
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

# A full Redis still lets these take memory: what is there must be able to end.
SETTLING = ("commit", "note", "notes", "due", "put_off", "remove", "leases", "document_remove")
FLAGS = "#!lua flags=allow-oom\n"
# Name: file. A record's creation is a commit that may be refused for want of memory.
FILES = {"create": "commit"} | {
    name: name
    for name in (
        *SETTLING,
        "output",
        "glances",
        "drop_strays",
        "catalogue",
        "sessions",
        "api_keys",
        "document_put",
    )
}


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str  # as EVALSHA wants it


def load_scripts(timings: Timings) -> dict[str, Script]:
    folder = files("common.store.redis") / "lua"
    prelude = _constants(timings) + (folder / "prelude.lua").read_text()
    scripts = {}
    for name, file in FILES.items():
        text = prelude + (folder / f"{file}.lua").read_text()
        if name in SETTLING:
            text = FLAGS + text
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        scripts[name] = Script(text=text, sha=digest)
    return scripts


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
