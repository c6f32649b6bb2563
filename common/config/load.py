"""The one way to read a configuration: file, environment and command line into frozen settings.

Nothing is kept between two calls, so a reload is a second call.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from common.config.document import read_document, with_defaults
from common.config.environment import read_environment, secret_files
from common.config.model import Settings
from common.config.problems import (
    COMMAND_LINE,
    DEFAULT,
    ConfigError,
    Ignored,
    Origin,
    Problem,
    environment,
)
from common.config.provenance import origin_at, sources
from common.config.sources import (
    Source,
    at_home,
    display_name,
    find_file,
    home,
    read_source,
    read_text,
)
from common.config.tree import Node, below, merge, node_of
from common.config.urls import sqlite_path, sqlite_url
from common.config.validate import check_routing, check_urls

__all__ = ["ConfigError", "Ignored", "Loaded", "Problem", "load_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration that can be used, and everything `longhaul check` says about it."""

    settings: Settings
    file: Path | None
    provenance: Mapping[str, str]  # dotted setting -> `longhaul.yaml:12`, `environment NAME`, ...
    ignored: tuple[Ignored, ...] = ()
    warnings: tuple[Problem, ...] = ()
    written: Mapping[str, str]  # dotted setting -> its text before `${...}` was expanded


def load_settings(
    *,
    config_file: Path | None,
    environ: Mapping[str, str],
    cwd: Path,
    overrides: Mapping[str, object],
) -> Loaded:
    """Read the configuration; the command line wins over the environment, that over the file.

    Args:
        config_file: The file that was asked for; None looks for the defaults.
        environ: The environment, whole.
        cwd: The working folder, absolute.
        overrides: Dotted setting -> value, from the command line; None is not given.

    Raises:
        ConfigError: With every problem that was found.
    """
    file = find_file(config_file, environ, cwd)
    problems: list[Problem] = []
    source = _source(file, environ, cwd, problems)
    given = _with_secrets(environ, cwd, problems)
    found = read_environment(given, source.tree)
    problems += [*source.problems, *found.problems]
    tree = _with_overrides(merge(source.tree, found.tree), overrides)
    tree = with_defaults(_with_places(tree, environ, cwd))
    settings = _settings(tree, problems)
    if settings is None or problems:
        raise ConfigError(_in_order(problems))
    warnings = [*source.warnings, *found.warnings, *_located(check_routing(settings), tree)]
    origins = sources(settings, tree)
    return Loaded(
        settings=settings,
        file=file,
        provenance={".".join(path): str(origin) for path, origin in origins.items()},
        ignored=tuple(source.ignored),
        warnings=tuple(warnings),
        written=source.written,
    )


def _source(
    file: Path | None, environ: Mapping[str, str], cwd: Path, problems: list[Problem]
) -> Source:
    if file is not None:
        try:
            return read_source(file, environ, cwd)
        except ConfigError as error:
            at = Origin(file=display_name(file, cwd))
            problems += [
                problem if problem.file else replace(problem, origin=at)
                for problem in error.problems
            ]
    return Source(tree=Node(value={}, origin=DEFAULT), foreign=False)


def _with_secrets(
    environ: Mapping[str, str], cwd: Path, problems: list[Problem]
) -> Mapping[str, str]:
    """The environment with the secrets that stand in files."""
    given = dict(environ)
    for name, variable, path in secret_files(environ):
        origin = environment(variable)
        if given.get(name):
            message = f"{name} and {variable} are both set; keep one of them"
            problems.append(Problem(message=message, origin=origin))
            continue
        try:
            given[name] = read_text(cwd / at_home(path, environ)).strip()
        except ConfigError as error:
            problems += [replace(problem, origin=origin) for problem in error.problems]
    return given


def _with_overrides(tree: Node, overrides: Mapping[str, object]) -> Node:
    for key, value in overrides.items():
        if value is not None:
            tree = merge(tree, below(key.split("."), node_of(value, COMMAND_LINE)))
    return tree


def _with_places(tree: Node, environ: Mapping[str, str], cwd: Path) -> Node:
    """The data folder, and where store and blobs are in it, where these are not given."""
    data = tree.children.get("data")
    if data is None or data.value in {None, ""}:
        state = environ.get("XDG_STATE_HOME")
        folder = Path(state) if state else home(environ) / ".local" / "state"
        origin = environment("XDG_STATE_HOME") if state else DEFAULT
        data = node_of(folder / "longhaul", origin)
    elif isinstance(data.value, str):
        data = node_of(cwd / at_home(data.value, environ), data.origin)
    store = tree.children.get("store_url")
    if store is None or store.value in {None, ""}:
        store = node_of(sqlite_url(Path(str(data.value)) / "longhaul.db"), DEFAULT)
    elif isinstance(store.value, str) and store.value.startswith("sqlite:"):
        store = _absolute(store, environ, cwd)
    blobs = tree.children.get("blob_url")
    if (blobs is None or blobs.value in {None, ""}) and str(store.value).startswith("sqlite:"):
        blobs = node_of(f"file://{Path(str(data.value)) / 'blobs'}", DEFAULT)
    places = {"data": data, "store_url": store} | ({} if blobs is None else {"blob_url": blobs})
    return Node(value={**tree.children, **places}, origin=tree.origin)


def _absolute(store: Node, environ: Mapping[str, str], cwd: Path) -> Node:
    try:
        file = sqlite_path(str(store.value))
    except ValueError:
        return store  # reported with the document
    return node_of(sqlite_url(cwd / at_home(str(file), environ)), store.origin)


def _settings(tree: Node, problems: list[Problem]) -> Settings | None:
    try:
        settings = read_document(tree).settings()
    except ConfigError as error:
        problems += error.problems
        return None
    problems += _located(check_urls(settings), tree)
    return settings


def _located(problems: Iterable[Problem], tree: Node) -> Iterator[Problem]:
    for problem in problems:
        yield replace(problem, origin=origin_at(problem.path, tree))


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """A file from top to bottom, then what stands in no file."""
    return sorted(problems, key=lambda problem: (problem.file is None, problem.line or 0))
