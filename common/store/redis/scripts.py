"""The Lua scripts, read from the files beside this one; each begins with the shared prelude."""

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

NAMES = ("commit", "note", "due", "remove", "leases", "catalogue", "sessions", "api_keys")


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    sha: str  # as EVALSHA wants it


def load_scripts() -> dict[str, Script]:
    folder = files("common.store.redis") / "lua"
    prelude = (folder / "prelude.lua").read_text()
    scripts = {}
    for name in NAMES:
        text = prelude + (folder / f"{name}.lua").read_text()
        digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
        scripts[name] = Script(text=text, sha=digest)
    return scripts
