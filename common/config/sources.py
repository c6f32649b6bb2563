"""The files a configuration is made of: which one, what it says, and the files it names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

from common.config.foreign import Program, translate
from common.config.json_reader import read_json
from common.config.problems import ConfigError, Ignored, Origin, Problem
from common.config.tree import Node, merge, node_of
from common.config.variables import Expansion
from common.config.yaml_reader import read_yaml

DEFAULT_FILES = ("longhaul.yaml", "mcp.json")
_EDITOR_FOLDERS = {".vscode", ".cursor"}


@dataclass(slots=True, kw_only=True)
class Source:
    """What one file says, its variables expanded."""

    tree: Node
    foreign: bool  # another program's
    ignored: list[Ignored] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)


def find_file(config_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The file to read: the one that was named, else the first default that is there."""
    named = config_file or environ.get("LONGHAUL_CONFIG")
    if named:
        return cwd / at_home(str(named), environ)
    return next((cwd / name for name in DEFAULT_FILES if (cwd / name).is_file()), None)


def home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def at_home(path: str, environ: Mapping[str, str]) -> Path:
    """The path with a leading `~` replaced."""
    if path == "~" or path.startswith("~/"):
        return home(environ) / path[2:]
    return Path(path)


def display_name(file: Path, cwd: Path) -> str:
    return str(file.relative_to(cwd)) if file.is_relative_to(cwd) else str(file)


def read_text(file: Path) -> str:
    """The text of a file, with any byte order mark taken off.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([Problem(message=f"there is no file {file}")]) from None
    except OSError as error:
        raise ConfigError([Problem(message=f"cannot read {file}: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(message=f"{file} is not UTF-8 text")]) from error


def read_source(file: Path, environ: Mapping[str, str], cwd: Path) -> Source:
    """Read a file of ours or of another program.

    Raises:
        ConfigError: It cannot be read, or is neither YAML nor JSON.
    """
    text = read_text(file)
    name = display_name(file, cwd)
    if not _is_foreign(file, text):
        tree = read_yaml(text, Origin(file=name))
        if not isinstance(tree.value, dict):
            message = "should be made of keys and values"
            raise ConfigError([Problem(message=message, origin=tree.origin)])
        return _finish(Source(tree=tree, foreign=False), file, environ, environ)
    found = translate(read_json(text, name), file)
    source = Source(
        tree=found.tree,
        foreign=True,
        ignored=found.ignored,
        problems=found.problems,
        warnings=found.warnings,
    )
    known = _editor_variables(file, environ) if found.program in _EDITORS else {}
    return _finish(source, file, environ, {**known, **environ})


def project_folder(file: Path) -> Path:
    """The folder that relative paths in a file start from."""
    folder = file.parent
    return folder.parent if folder.name in _EDITOR_FOLDERS else folder


def _is_foreign(file: Path, text: str) -> bool:
    if file.suffix in {".yaml", ".yml"}:
        return False
    return file.suffix == ".json" or text.lstrip().startswith("{")


_EDITORS = {Program.CURSOR, Program.VS_CODE, Program.UNKNOWN}


def _editor_variables(file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    folder = project_folder(file)
    return {
        "workspaceFolder": str(folder),
        "workspaceFolderBasename": folder.name,
        "userHome": str(home(environ)),
        "pathSeparator": "/",
        "/": "/",
    }


def _finish(
    source: Source, file: Path, environ: Mapping[str, str], variables: Mapping[str, str]
) -> Source:
    expansion = Expansion(variables=variables)
    tree = expansion.tree(source.tree)
    servers = tree.children.get("mcpServers")
    if servers is not None and isinstance(servers.value, dict):
        entries = {
            name: _placed(source, ("mcpServers", name), entry, file, environ)
            for name, entry in servers.value.items()
        }
        placed = Node(value=entries, origin=servers.origin)
        tree = Node(value={**tree.children, "mcpServers": placed}, origin=tree.origin)
    source.tree = tree
    source.problems += expansion.problems
    source.written = expansion.written
    return source


def _placed(
    source: Source, path: tuple[str, ...], entry: Node, file: Path, environ: Mapping[str, str]
) -> Node:
    """An entry with its paths made absolute and a foreign `envFile` read into `env`."""
    children = dict(entry.children)
    if not children:
        return entry
    folder = project_folder(file)
    if (cwd := children.get("cwd")) is not None and isinstance(cwd.value, str):
        children["cwd"] = node_of(str(folder / at_home(cwd.value, environ)), cwd.origin)
    # In a file of ours `envFile` is an unknown key, which the check of the document says.
    if source.foreign and (named := children.pop("envFile", None)):
        try:
            values = node_of(_env_file(folder / at_home(str(named.value), environ)), named.origin)
        except ConfigError as error:
            problem = Problem(
                message=error.problems[0].message, path=(*path, "envFile"), origin=named.origin
            )
            source.problems.append(problem)
        else:
            given = children.get("env")
            children["env"] = values if given is None else merge(values, given)
    return Node(value=children, origin=entry.origin)


def _env_file(file: Path) -> dict[str, str]:
    found = dotenv_values(stream=StringIO(read_text(file)), interpolate=False)
    return {name: value or "" for name, value in found.items()}
