"""`${VAR}`, `${VAR:-default}` and `${env:VAR}` in the strings of a file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.config.problems import Origin, Problem
from common.config.tree import Node

_REFERENCE = re.compile(r"\$(\$?)\{([^}]*)\}")
_NAME = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*|/)(?::-(.*))?", re.DOTALL)


@dataclass(slots=True, kw_only=True)
class Expansion:
    """Expands one file; gathers what is missing and which strings were changed."""

    variables: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    # Dotted setting -> the string as written, so that `check` shows the reference, not a secret.
    written: dict[str, str] = field(default_factory=dict)

    def tree(self, node: Node, path: tuple[str, ...] = ()) -> Node:
        if isinstance(node.value, dict):
            lenient = _disabled(node, path)
            children = {
                key: child if lenient else self.tree(child, (*path, key))
                for key, child in node.value.items()
            }
            return Node(value=children, origin=node.origin)
        if isinstance(node.value, tuple):
            items = (self.tree(child, (*path, str(i))) for i, child in enumerate(node.value))
            return Node(value=tuple(items), origin=node.origin)
        if not isinstance(node.value, str) or "${" not in node.value:
            return node
        value = self._text(node.value, path, node.origin)
        if value != node.value:
            self.written[".".join(path)] = node.value
        return Node(value=value, origin=node.origin, text=value)

    def _text(self, text: str, path: tuple[str, ...], origin: Origin) -> str:
        def resolve(match: re.Match[str]) -> str:
            escaped, inside = match.groups()
            if escaped:
                return match[0][1:]  # `$${NAME}` is the text `${NAME}`
            reference = _NAME.fullmatch(inside)
            if reference is None:
                message = f"{match[0]} is not a variable; write $${{...}} for the text itself"
                self.problems.append(Problem(message=message, path=path, origin=origin))
                return match[0]
            name, default = reference.groups()
            value = self.variables.get(name)
            if default is not None:
                return value or default  # as in a shell: also when it is set but empty
            if value is None:
                message = f"the variable {name} is not set; set it, or write ${{{name}:-a default}}"
                self.problems.append(Problem(message=message, path=path, origin=origin))
                return match[0]
            return value

        return _REFERENCE.sub(resolve, text)


def _disabled(node: Node, path: tuple[str, ...]) -> bool:
    """A backend that is switched off asks for no variables: it is never started."""
    match path:
        case ("mcpServers", _):
            flag = node.children.get("disabled")
            return flag is not None and flag.value is True
        case _:
            return False
