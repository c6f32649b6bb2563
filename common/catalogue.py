"""The catalogue: every tool that callers see, made from what the workers published. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson

from common.config.names import OWN_TOOLS, expose
from common.jobs.files import OUTBOX_META
from common.store.base import CatalogueEntry

_VERSION_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueTool:
    name: str  # as exposed
    backend: str
    backend_tool: str  # the backend's own name
    version: str  # digest of the definition
    definition: Mapping[str, Any]  # verbatim
    trusted: bool  # its annotations may decide about retries
    bad_header: str = ""  # why modern clients are not shown it

    @property
    def input_schema(self) -> Mapping[str, Any]:
        schema = self.definition.get("inputSchema")
        return schema if isinstance(schema, Mapping) else {}

    @property
    def wants_outbox(self) -> bool:
        meta = self.definition.get("_meta")
        return isinstance(meta, Mapping) and meta.get(OUTBOX_META) is True

    @property
    def annotated_repeatable(self) -> bool:
        """What the tool says of itself: reading only, or repeating does no more (MCP, Tool)."""
        hints = self.definition.get("annotations")
        if not isinstance(hints, Mapping):
            return False
        return hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True


@dataclass(frozen=True)
class Catalogue:
    """The tools by their exposed names, in a stable order; the first backend keeps a name."""

    tools: Mapping[str, CatalogueTool] = field(default_factory=dict)
    entries: Sequence[CatalogueEntry] = ()
    collisions: Sequence[tuple[str, str, str]] = ()  # (name, kept for, refused from)

    @cached_property
    def digest(self) -> str:
        """Changes when a client's list would."""
        names = [(entry.backend, entry.digest) for entry in self.entries]
        return sha256(orjson.dumps(names)).hexdigest()[:_VERSION_LENGTH]


def tool_version(definition: Mapping[str, Any]) -> str:
    canonical = orjson.dumps(definition, option=orjson.OPT_SORT_KEYS)
    return sha256(canonical).hexdigest()[:_VERSION_LENGTH]


def catalogue_entry(
    *, backend: str, started_at: int, trusted: bool, listing: Mapping[str, Any]
) -> CatalogueEntry:
    """What a worker publishes for one backend; `listing` is JSON of what the backend said."""
    body = {"trusted": trusted, **listing}
    canonical = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    digest = sha256(canonical).hexdigest()
    return CatalogueEntry(backend=backend, digest=digest, started_at=started_at, body=body)


def build_catalogue(entries: Iterable[CatalogueEntry], *, namespaces: bool) -> Catalogue:
    tools: dict[str, CatalogueTool] = {}
    collisions: list[tuple[str, str, str]] = []
    ordered = sorted(entries, key=lambda entry: entry.backend)
    for entry in ordered:
        bad_headers = dict(entry.body.get("bad_headers", ()))
        for definition in entry.body.get("tools", ()):
            own = definition["name"]
            name = expose(entry.backend, own, namespaces=namespaces)
            if name in tools or name in OWN_TOOLS:
                keeper = tools[name].backend if name in tools else "longhaul"
                collisions.append((name, keeper, entry.backend))
                continue
            tools[name] = CatalogueTool(
                name=name,
                backend=entry.backend,
                backend_tool=own,
                version=tool_version(definition),
                definition=definition,
                trusted=entry.body.get("trusted") is True,
                bad_header=bad_headers.get(own, ""),
            )
    return Catalogue(tools=tools, entries=ordered, collisions=collisions)
