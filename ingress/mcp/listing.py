"""`tools/list`: the catalogue and our own tools as one era sees them, in pages."""

import base64
import binascii
from collections.abc import Callable
from itertools import islice
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.catalogue import Catalogue, CatalogueTool
from common.config.model import TaskSupport
from common.routing.rules import Rules
from ingress.mcp.eras import Era, cacheable, shaped_tool
from ingress.mcp.manners import legacy_support
from ingress.mcp.own_tools import TOOLS as OWN_TOOLS

PAGE = 200  # tools


class Listing:
    """Shaped once per catalogue; a page is a slice of it. Pure."""

    def __init__(
        self, catalogue: Catalogue, era: Era, support_of: Callable[[CatalogueTool], TaskSupport]
    ) -> None:
        self.catalogue = catalogue
        self._modern = era is Era.MODERN
        tools = [
            tool for tool in catalogue.tools.values() if not (self._modern and tool.bad_header)
        ]
        supports = {tool.name: support_of(tool) for tool in tools}
        supports |= dict.fromkeys(OWN_TOOLS, "never")
        told = era is Era.CORE_TASKS
        self._tools = {
            tool.name: shaped_tool(tool, legacy_support(supports[tool.name]) if told else None)
            for tool in (*tools, *OWN_TOOLS.values())
        }
        self._places = {name: place for place, name in enumerate(self._tools)}

    def page(self, cursor: str | None) -> dict[str, Any]:
        """The page after the tool that the cursor names, so any replica understands a cursor.

        Raises:
            MCPError: The cursor is not ours, or its tool has gone (-32602): list from the start.
        """
        start = 0 if cursor is None else self._after(cursor)
        following = start + PAGE
        tools = list(islice(self._tools.values(), start, following))
        page: dict[str, Any] = {"tools": tools}
        if following < len(self._tools):
            page["nextCursor"] = base64.urlsafe_b64encode(tools[-1]["name"].encode()).decode()
        return cacheable(page) if self._modern else page

    def _after(self, cursor: str) -> int:
        try:
            name = base64.urlsafe_b64decode(cursor.encode()).decode()
            return self._places[name] + 1
        except (binascii.Error, UnicodeError, KeyError):
            raise MCPError(types.INVALID_PARAMS, "Invalid cursor") from None


class Listings:
    """The listing of each era, made anew when the catalogue has changed."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._made: dict[Era, Listing] = {}

    def of(self, catalogue: Catalogue, era: Era) -> Listing:
        listing = self._made.get(era)
        if listing is None or listing.catalogue is not catalogue:
            listing = self._made[era] = Listing(catalogue, era, self._support)
        return listing

    def _support(self, tool: CatalogueTool) -> TaskSupport:
        return self._rules.for_tool(tool.name, tool.backend, tool.backend_tool).task
