"""The form of a configuration file, and its way from a tree of values to checked settings."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from common.config.model import (
    Address,
    Backend,
    BackendDefaults,
    BackendForm,
    BackendName,
    Common,
    Settings,
    Transport,
)
from common.config.problems import ConfigError, Problem
from common.config.schema import fit, keys_of, nearest_name, type_at
from common.config.tree import Node, merge, nearest, plain

# What other programs call it, where the spelling gives no hint.
_OTHER_WORDS = {"type": "transport", "envFile": "env", "tags": "tools"}
_ONLY_STARTED = ("args", "env", "cwd")


class BackendEntry(BackendForm):
    """A backend as a file describes it: one of `command`, `url` and `urls`."""

    url: Address | None = Field(default=None, repr=False)
    transport: Transport | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = [way for way in ("command", "url", "urls") if getattr(self, way)]
        if len(ways) > 1:
            raise ValueError(f"has {' and '.join(ways)}; one of them says where the backend is")
        if not ways:
            raise ValueError("needs a command to start, or a url to connect to")
        started = self.command is not None
        if self.transport is not None and started != (self.transport == "stdio"):
            raise ValueError(f"transport {self.transport} does not go with {ways[0]}")
        useless = ("headers",) if started else _ONLY_STARTED
        if found := [key for key in useless if getattr(self, key)]:
            raise ValueError(f"{' and '.join(found)} mean nothing beside {ways[0]}")
        return self

    def backend(self, name: str) -> Backend:
        fields = {key: getattr(self, key) for key in Backend.model_fields if hasattr(self, key)}
        fields["urls"] = (self.url,) if self.url else self.urls
        fields["transport"] = self.transport or ("stdio" if self.command else "http")
        return Backend(name=name, **fields)


class Document(Common):
    """A whole file; other sources bring the same keys."""

    model_config = ConfigDict(populate_by_name=False)

    defaults: BackendDefaults = BackendDefaults()
    mcp_servers: dict[BackendName, BackendEntry] = Field(default_factory=dict, alias="mcpServers")

    def settings(self) -> Settings:
        common = {key: getattr(self, key) for key in Common.model_fields}
        backends = tuple(entry.backend(name) for name, entry in self.mcp_servers.items())
        return Settings(**common, backends=backends)


def with_defaults(tree: Node) -> Node:
    """Every backend's entry on top of the `defaults` section, unless that is wrong itself."""
    defaults, servers = tree.children.get("defaults"), tree.children.get("mcpServers")
    if defaults is None or servers is None or not servers.children:
        return tree
    try:
        BackendDefaults.model_validate(plain(fit(defaults, BackendDefaults) or defaults))
    except ValidationError:
        return tree  # reported once, where it stands
    entries = {name: merge(defaults, entry) for name, entry in servers.children.items()}
    merged = Node(value=entries, origin=servers.origin)
    return Node(value={**tree.children, "mcpServers": merged}, origin=tree.origin)


def read_document(tree: Node) -> Document:
    """Check a tree that already has its defaults.

    Raises:
        ConfigError: With everything that is wrong, each at the place it was written.
    """
    fitted = fit(tree, Document) or tree
    try:
        return Document.model_validate(plain(fitted))
    except ValidationError as error:
        # The cause holds the values, and with them the secrets.
        raise ConfigError(_problems(error, tree)) from None


def _problems(error: ValidationError, tree: Node) -> Iterator[Problem]:
    seen: set[tuple[str, ...]] = set()
    for detail in error.errors(include_url=False, include_input=False):
        problem = _problem(tuple(str(part) for part in detail["loc"]), detail, tree)
        if problem.path not in seen:  # one mistake in a union comes back with each branch
            seen.add(problem.path)
            yield problem


def _problem(path: tuple[str, ...], detail: Any, tree: Node) -> Problem:
    taken, node = nearest(tree, path)
    if node.scalar or path[-1:] == ("[key]",):
        path = taken  # what follows names a branch of the check, not a place
    if detail["type"] == "extra_forbidden":
        known = keys_of(type_at(Document, path[:-1]))
        guess = nearest_name(path[-1], known)
        other = _OTHER_WORDS.get(path[-1])
        hint = other if other in known else guess
        return Problem(message="unknown key", path=path, origin=node.origin, nearest=hint)
    return Problem(message=_words(detail, path), path=path, origin=node.origin)


def _words(detail: Any, path: tuple[str, ...]) -> str:
    match detail["type"]:
        case "string_pattern_mismatch":
            dots = ", dots" if path[:1] == ("queues",) or path[-1:] == ("queue",) else ""
            return f"a name is made of letters, digits, _ and -{dots}; at most 64 of them"
        case "missing":
            return "is required"
        case "int_parsing" | "int_type" | "int_from_float":
            return "should be a whole number"
        case "float_parsing" | "float_type":
            return "should be a number"
        case "bool_parsing" | "bool_type":
            return "should be true or false"
        case "string_type":
            return "should be text"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "should be a section of keys and values"
        case "tuple_type":
            return "should be a list"
        case _:
            message: str = detail["msg"]
            message = message.removeprefix("Value error, ").replace("Input should", "should")
            return message.replace("String should", "should")
