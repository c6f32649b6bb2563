"""Settings from the environment: `LONGHAUL_BROKER_URL`, `LONGHAUL_LISTEN__PORT`.

pydantic-settings would fill the model as well, but it reads the process's own environment, passes
over unknown variables in silence, and cannot say afterwards which variable gave a value.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from common.config.document import Document
from common.config.problems import ConfigError, Origin, Problem, environment
from common.config.schema import (
    has_free_keys,
    is_list,
    is_section,
    keys_of,
    nearest_name,
    step,
    type_at,
)
from common.config.tree import Node, below, merge
from common.config.yaml_reader import read_yaml

_PREFIX = "LONGHAUL_"
_NESTED = "__"
SHORT = {
    "LONGHAUL_API_KEY": ("listen", "api_keys"),
    "LONGHAUL_ALLOWED_HOSTS": ("listen", "allowed_hosts"),
    "LONGHAUL_ALLOWED_ORIGINS": ("listen", "allowed_origins"),
    "LONGHAUL_CALLBACK_SECRET": ("callbacks", "secrets"),
}
# `LONGHAUL_API_KEY_FILE` names a file that holds what `LONGHAUL_API_KEY` would.
SECRETS = (
    "LONGHAUL_API_KEY",
    "LONGHAUL_BROKER_URL",
    "LONGHAUL_STORE_URL",
    "LONGHAUL_SECRET_KEY",
    "LONGHAUL_CALLBACK_SECRET",
)
_FILE = "_FILE"
_NOT_SETTINGS = {"LONGHAUL_CONFIG", "LONGHAUL_URL"}
_TEST_PREFIX = "LONGHAUL_TEST_"


@dataclass(slots=True, kw_only=True)
class FromEnvironment:
    """What the environment says, as a tree, and what of it could not be used."""

    tree: Node
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def read_environment(environ: Mapping[str, str], base: Node) -> FromEnvironment:
    """Collect the LONGHAUL_ variables; an empty one counts as not set.

    Args:
        environ: The environment, with the text of secret files under their settings' variables.
        base: What the file says; its backends and queues are found whatever their case.
    """
    found = FromEnvironment(tree=Node(value={}, origin=base.origin))
    for name, text in sorted(environ.items()):
        if not name.startswith(_PREFIX) or not text.strip() or _is_foreign(name):
            continue
        path = SHORT.get(name) or _path(name, base)
        if path is None:
            known = nearest_name(name, _known_names())
            message = "is not a setting of Longhaul"
            found.warnings.append(Problem(message=message, origin=environment(name), nearest=known))
            continue
        from_file = name in SECRETS and bool(environ.get(name + _FILE))
        origin = environment(name + _FILE if from_file else name)
        try:
            leaf = _leaf(text, type_at(Document, path), origin)
        except ConfigError as error:
            found.problems += [
                Problem(message=problem.message, path=path, origin=problem.origin)
                for problem in error.problems
            ]
            continue
        found.tree = merge(found.tree, below(path, leaf))
    return found


def secret_files(environ: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The variables that name a file: setting's variable, variable, path."""
    for name in SECRETS:
        if path := environ.get(name + _FILE):
            yield name, name + _FILE, path


def _is_foreign(name: str) -> bool:
    if name in _NOT_SETTINGS or name.startswith(_TEST_PREFIX):
        return True
    return name.endswith(_FILE) and name.removesuffix(_FILE) in SECRETS


def _path(name: str, base: Node) -> tuple[str, ...] | None:
    """The setting a variable names; None when there is none."""
    annotation: Any = Document
    path: tuple[str, ...] = ()
    node: Node | None = base
    for segment in name.removeprefix(_PREFIX).split(_NESTED):
        key = _key(segment, annotation, node)
        if key is None:
            return None
        annotation = step(annotation, key)
        node = node.children.get(key) if node else None
        path = (*path, key)
    return path


def _key(segment: str, annotation: Any, node: Node | None) -> str | None:
    """The key a part of a variable's name means: capitals and underscores do not tell apart."""
    known = keys_of(annotation)
    free = has_free_keys(annotation)
    if free and node is not None:
        known = tuple(node.children)
    for key in known:
        if _plain(key) == _plain(segment):
            return key
    return segment.lower() if free and segment else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _leaf(text: str, annotation: Any, origin: Origin) -> Node:
    """Text as it is, or YAML (and so JSON) where the setting is a section or a list."""
    if is_section(annotation) or (is_list(annotation) and text.lstrip().startswith("[")):
        read = read_yaml(text, origin)
        return Node(value=read.value, origin=origin, text=read.text)
    return Node(value=text, origin=origin, text=text)


def _known_names() -> list[str]:
    names = [*SHORT, *(name + _FILE for name in SECRETS), *_NOT_SETTINGS]
    for key in keys_of(Document):
        names.append(_PREFIX + key.upper())
        names += [f"{names[-1]}{_NESTED}{inner.upper()}" for inner in keys_of(step(Document, key))]
    return names
