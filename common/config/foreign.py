"""The JSON of other programs, turned into the form of `longhaul.yaml`; what is dropped is told.

Read from the programs' documentation and sources in 2026: Claude Code counts `timeout` in
milliseconds and passes over less than 1,000; Cline counts in seconds and takes a `url` without a
type for SSE; VS Code has `servers` and asks its user for `${input:...}`; Cursor has `envFile`. The
others document no time-out.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath

from common.config.model import BackendForm
from common.config.names import FORM, backend_name
from common.config.problems import Ignored, Origin, Problem
from common.config.tree import Node, scalars

_KEPT = ("command", "args", "env", "cwd", "envFile", "url", "headers", "disabled")
_KINDS = ("type", "transport", "transportType")
_STARTED = ("command", "args", "env", "cwd", "envFile")
_CONNECTED = ("url", "headers")
_HTTP = {"http", "streamable-http", "streamableHttp", "streamable_http"}
_ASKS = re.compile(r"\$\{(input|command|config):([^}]*)\}")
_CLINE_KEYS = {"autoApprove", "alwaysAllow", "transportType"}
_HOUR = 3600.0


class Program(Enum):
    CLAUDE_DESKTOP = "Claude Desktop"
    CLAUDE_CODE = "Claude Code"
    CURSOR = "Cursor"
    VS_CODE = "VS Code"
    CLINE = "Cline"
    UNKNOWN = "the program that wrote it"


@dataclass(slots=True, kw_only=True)
class Translated:
    """A foreign file in our own words. `envFile` stays in an entry until its file is read."""

    program: Program
    tree: Node
    ignored: list[Ignored] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def program_of(path: PurePath, root: Node) -> Program:
    """Whose file this is: by its name and folder, else by keys only one program has."""
    by_name = {
        "claude_desktop_config.json": Program.CLAUDE_DESKTOP,
        "cline_mcp_settings.json": Program.CLINE,
        ".mcp.json": Program.CLAUDE_CODE,
    }
    by_folder = {".cursor": Program.CURSOR, ".vscode": Program.VS_CODE}
    if path.name in by_name:
        return by_name[path.name]
    if path.parent.name in by_folder:
        return by_folder[path.parent.name]
    if "mcpServers" not in root.children:
        return Program.VS_CODE
    entries = root.children["mcpServers"].children.values()
    keys = {key for entry in entries for key in entry.children}
    if keys & _CLINE_KEYS:
        return Program.CLINE
    return Program.CURSOR if "envFile" in keys else Program.UNKNOWN


def translate(root: Node, path: PurePath) -> Translated:
    """Turn a foreign file's servers into `mcpServers` entries of our own."""
    program = program_of(path, root)
    result = Translated(program=program, tree=Node(value={}, origin=root.origin))
    section = next((key for key in ("mcpServers", "servers") if key in root.children), None)
    if section is None:
        message = "has neither mcpServers nor servers"
        result.problems.append(Problem(message=message, origin=root.origin))
        return result
    for key, node in root.children.items():
        if key not in {section, "$schema"}:
            _ignore(result, (key,), node.origin, _why_not(key))
    servers = root.children[section]
    if not isinstance(servers.value, dict):
        message = "should be a section of keys and values"
        result.problems.append(Problem(message=message, path=(section,), origin=servers.origin))
        return result
    entries: dict[str, Node] = {}
    for name, entry in servers.value.items():
        ours = _name(result, name, entry.origin, entries)
        if ours and (translated := _entry(result, (section, name), entry)):
            entries[ours] = translated
    backends = Node(value=entries, origin=servers.origin)
    result.tree = Node(value={"mcpServers": backends}, origin=root.origin)
    return result


def _name(result: Translated, name: str, origin: Origin, taken: dict[str, Node]) -> str | None:
    ours = name if FORM.fullmatch(name) else backend_name(name)
    path = ("mcpServers", name)
    if not ours or ours in taken:
        why = f"its name would become {ours!r}, as another's" if ours else "its name has no letters"
        result.problems.append(Problem(message=f"{why}; rename it", path=path, origin=origin))
        return None
    if ours != name:
        result.warnings.append(Problem(message=f"is called {ours} here", path=path, origin=origin))
    return ours


def _entry(result: Translated, path: tuple[str, ...], entry: Node) -> Node | None:
    """One server in our words; None when Longhaul cannot run it, which is told."""
    if not isinstance(entry.value, dict):
        message = "should be a section of keys and values"
        result.problems.append(Problem(message=message, path=path, origin=entry.origin))
        return None
    kind = next((entry.value[key] for key in _KINDS if key in entry.value), None)
    if why := _cannot_run(entry, kind):
        result.warnings.append(Problem(message=f"left out: {why}", path=path, origin=entry.origin))
        _ignore(result, path, entry.origin, why)
        return None
    started = _is_started(entry, kind)
    kept: dict[str, Node] = {}
    for key, node in entry.value.items():
        useless = _CONNECTED if started else _STARTED
        if key in _KINDS:
            continue
        if key == "timeout":
            if (clock := _timeout(result, (*path, key), node)) is not None:
                kept[key] = clock
        elif key in _KEPT and key not in useless:
            kept[key] = node
        elif key in _KEPT:
            with_what = "command" if started else "url"
            _ignore(result, (*path, key), node.origin, f"means nothing beside {with_what}")
        else:
            _ignore(result, (*path, key), node.origin, _why_not(key))
    if not started and (transport := _transport(result.program, kind, entry.origin)):
        kept["transport"] = transport
    return Node(value=kept, origin=entry.origin)


def _cannot_run(entry: Node, kind: Node | None) -> str | None:
    if kind is not None and kind.value not in {"stdio", "sse", *_HTTP}:
        return f"Longhaul has no transport {kind.value!r}"
    for node in scalars(entry):
        asks = _ASKS.search(node.value) if isinstance(node.value, str) else None
        if asks:
            return f"only the editor can fill in {asks[0]}; write ${{env:NAME}} instead"
    return None


def _is_started(entry: Node, kind: Node | None) -> bool:
    if kind is None or ("command" in entry.children) != ("url" in entry.children):
        return "command" in entry.children
    return kind.value == "stdio"


def _transport(program: Program, kind: Node | None, origin: Origin) -> Node | None:
    if kind is not None and kind.value == "sse":
        return Node(value="sse", origin=kind.origin)
    if kind is None and program is Program.CLINE:
        return Node(value="sse", origin=origin)
    return None


def _timeout(result: Translated, path: tuple[str, ...], node: Node) -> Node | None:
    """The time-out in seconds, by the unit of the program that wrote it."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return node
    if value <= 0:
        _ignore(result, path, node.origin, "no limit")
        return None
    if result.program is Program.CLAUDE_CODE:
        if value < 1000:
            _ignore(result, path, node.origin, "Claude Code itself passes over less than 1000 ms")
            return None
        return Node(value=value / 1000, origin=node.origin)
    if result.program is Program.CLINE:
        return node
    # More than an hour in seconds is rare, less than four seconds in milliseconds useless.
    seconds = float(value) if value <= _HOUR else value / 1000
    message = f"{value:g} is read as {seconds:g} seconds; write a unit, as 90s, to be sure"
    result.warnings.append(Problem(message=message, path=path, origin=node.origin))
    return Node(value=seconds, origin=node.origin)


def _ignore(result: Translated, path: tuple[str, ...], origin: Origin, reason: str) -> None:
    result.ignored.append(
        Ignored(file=origin.file or "", line=origin.line or 1, key=".".join(path), reason=reason)
    )


def _why_not(key: str) -> str:
    if key in BackendForm.model_fields or key in {"defaults", "queues", "tools"}:
        return "a setting of Longhaul's own: write it in longhaul.yaml"
    return "not used by Longhaul"
