"""YAML into a tree of values with lines; says what is not YAML, or written twice."""

import yaml

from common.config.problems import ConfigError, Origin, Problem
from common.config.tree import Node, Scalar

_MERGE = "tag:yaml.org,2002:merge"
_PLAIN = (str, int, float, bool, type(None))


def read_yaml(text: str, origin: Origin) -> Node:
    """Read one document; an empty one is an empty mapping.

    Args:
        text: The document.
        origin: Where it stands; with a file, every value gets its own line.

    Raises:
        ConfigError: Not YAML, a key written twice, or an alias that contains itself.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Node(value={}, origin=origin)
        reader = _Reader(loader, origin)
        node = reader.read(root, reader.place(root), ())
    except yaml.YAMLError as error:
        raise ConfigError([_not_yaml(error, origin)]) from error
    finally:
        loader.dispose()
    if reader.problems:
        raise ConfigError(reader.problems)
    return node


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, origin: Origin) -> None:
        self._loader = loader
        self._origin = origin
        self._open: list[yaml.Node] = []  # the way from the root, to notice a loop of aliases
        self.problems: list[Problem] = []

    def read(self, node: yaml.Node, origin: Origin, path: tuple[str, ...]) -> Node:
        if any(node is outer for outer in self._open):
            raise yaml.composer.ComposerError(
                None, None, "an alias contains itself", node.start_mark
            )
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return Node(value=self._mapping(node, path), origin=origin)
            if isinstance(node, yaml.SequenceNode):
                items = (
                    self.read(item, self.place(item), (*path, str(index)))
                    for index, item in enumerate(node.value)
                )
                return Node(value=tuple(items), origin=origin)
            return Node(value=self._scalar(node), origin=origin, text=node.value)
        finally:
            self._open.pop()

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Node]:
        self._refuse_twice(node, path)
        self._loader.flatten_mapping(node)  # `<<: *other`: what is written here wins
        return {
            key.value: self.read(value, self.place(key), (*path, key.value))
            for key, value in node.value
        }

    def _refuse_twice(self, node: yaml.MappingNode, path: tuple[str, ...]) -> None:
        first: dict[str, Origin] = {}
        for key, _ in node.value:
            at = self.place(key)
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be text", key.start_mark
                )
            if key.value in first and key.tag != _MERGE:
                message = f"written twice, first at line {first[key.value].line}"
                self.problems.append(Problem(message=message, path=(*path, key.value), origin=at))
            first.setdefault(key.value, at)

    def _scalar(self, node: yaml.Node) -> Scalar:
        value = self._loader.construct_object(node)
        # A date, a set of bytes: Longhaul has no use for them but as they were written.
        return value if isinstance(value, _PLAIN) else str(node.value)

    def place(self, node: yaml.Node) -> Origin:
        if self._origin.file is None:
            return self._origin
        return Origin(file=self._origin.file, line=node.start_mark.line + 1)


def _not_yaml(error: yaml.YAMLError, origin: Origin) -> Problem:
    at = origin
    message = "not YAML"
    if isinstance(error, yaml.MarkedYAMLError):
        message = f"not YAML: {error.problem or error.context}"
        if error.problem_mark is not None and origin.file is not None:
            at = Origin(file=origin.file, line=error.problem_mark.line + 1)
    return Problem(message=message, origin=at)
