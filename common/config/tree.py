"""The configuration before it is checked: values that remember where they were written."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from common.config.problems import Origin

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One value of a file, of the environment, or of the command line.

    The value of a key has the line of its key, so that a section is found at its name.
    """

    value: "Scalar | dict[str, Node] | tuple[Node, ...]"
    origin: Origin
    text: str | None = None  # a scalar as it was written: `007`, `yes`

    @property
    def children(self) -> "dict[str, Node]":
        """The keys below; empty for anything that is not a mapping."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def scalar(self) -> bool:
        return not isinstance(self.value, dict | tuple)


def node_of(value: object, origin: Origin) -> Node:
    """A plain value as a tree of one origin."""
    if isinstance(value, Mapping):
        children = {str(key): node_of(child, origin) for key, child in value.items()}
        return Node(value=children, origin=origin)
    if isinstance(value, list | tuple):
        return Node(value=tuple(node_of(child, origin) for child in value), origin=origin)
    if value is None or isinstance(value, str | int | float | bool):
        return Node(value=value, origin=origin, text=None if value is None else str(value))
    return Node(value=str(value), origin=origin)  # a path


def merge(under: Node, over: Node) -> Node:
    """Both mappings as one, key by key; anything else in `over` replaces what was there."""
    if not (isinstance(under.value, dict) and isinstance(over.value, dict)):
        return over
    merged = dict(under.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return Node(value=merged, origin=over.origin)


def below(path: Iterable[str], leaf: Node) -> Node:
    """A tree that holds nothing but `leaf`, at `path`."""
    node = leaf
    for key in reversed(tuple(path)):
        node = Node(value={key: node}, origin=leaf.origin)
    return node


def nearest(node: Node, path: Iterable[str]) -> tuple[tuple[str, ...], Node]:
    """How far `path` leads into the tree, and the node it ends at."""
    taken: tuple[str, ...] = ()
    for key in path:
        step = _child(node, key)
        if step is None:
            break
        taken, node = (*taken, key), step
    return taken, node


def _child(node: Node, key: str) -> Node | None:
    if isinstance(node.value, tuple):
        inside = key.isdecimal() and int(key) < len(node.value)
        return node.value[int(key)] if inside else None
    return node.children.get(key)


def plain(node: Node) -> object:
    """The value without its origins."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(child) for child in node.value]
    return node.value


def scalars(node: Node) -> Iterator[Node]:
    """Every scalar at or below a node."""
    if isinstance(node.value, dict):
        for child in node.value.values():
            yield from scalars(child)
    elif isinstance(node.value, tuple):
        for child in node.value:
            yield from scalars(child)
    else:
        yield node
