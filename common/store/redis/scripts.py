"""The Lua scripts, read from the files beside this one; each begins with the shared prelude."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

# A full Redis still lets these take memory: what is there must be able to end.
SETTLING = ("commit", "note", "due", "remove", "leases")
FLAGS = "#!lua flags=allow-oom\n"
# Name: file. A record's creation is a commit that may be refused for want of memory.
FILES = {"create": "commit"} | {
    name: name for name in (*SETTLING, "catalogue", "sessions", "api_keys")
}


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str  # as EVALSHA wants it


def load_scripts() -> dict[str, Script]:
    folder = files("common.store.redis") / "lua"
    prelude = (folder / "prelude.lua").read_text()
    scripts = {}
    for name, file in FILES.items():
        text = prelude + (folder / f"{file}.lua").read_text()
        if name in SETTLING:
            text = FLAGS + text
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        scripts[name] = Script(text=text, sha=digest)
    return scripts
