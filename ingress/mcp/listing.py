"""`tools/list`: the catalogue as one era sees it, in pages. Pure."""

import base64
import binascii
from itertools import islice
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.catalogue import Catalogue
from ingress.mcp.eras import cacheable, shaped_tool

PAGE = 200  # tools


class Listing:
    """Shaped once per catalogue; a page is a slice of it."""

    def __init__(self, catalogue: Catalogue, *, modern: bool) -> None:
        self.catalogue = catalogue
        self._modern = modern
        self._tools = {
            tool.name: shaped_tool(tool)
            for tool in catalogue.tools.values()
            if not (modern and tool.bad_header)
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
