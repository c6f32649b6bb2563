"""Which source gave each setting its value."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from common.config.model import Settings
from common.config.problems import DEFAULT, Origin
from common.config.tree import Node, nearest

Path = tuple[str, ...]


def leaves(settings: Settings) -> Iterator[tuple[Path, object]]:
    """Every setting with its value, named as in a file; lists are one value."""
    for name in Settings.model_fields:
        if name == "backends":
            for backend in settings.backends:
                for field in type(backend).model_fields:
                    if field != "name":
                        yield from _below(
                            ("mcpServers", backend.name, field), getattr(backend, field)
                        )
        else:
            yield from _below((name,), getattr(settings, name))


def sources(settings: Settings, tree: Node) -> dict[Path, Origin]:
    """Where the value of every setting came from, by the merged tree it was made of."""
    return {path: _source(path, tree) for path, _ in leaves(settings)}


def origin_at(path: Path, tree: Node) -> Origin:
    """Where to look for a mistake at `path`: there, or at the nearest section that is written."""
    taken, node = nearest(tree, path)
    return node.origin if taken else DEFAULT


def _source(path: Path, tree: Node) -> Origin:
    if path[-1] == "urls" and len(path) == 3:
        for key in ("url", "urls"):
            taken, node = nearest(tree, (*path[:-1], key))
            if len(taken) == 3:
                return node.origin
    taken, node = nearest(tree, path)
    # A section that is written does not say this; a value written for the whole of it does.
    return node.origin if taken == path or (taken and node.scalar) else DEFAULT


def _below(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _below((*path, name), getattr(value, name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _below((*path, str(key)), item)
    else:
        yield path, value
