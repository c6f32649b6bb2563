"""One agreed connection to a replica: its tools, its calls, and the news that the tools changed."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from common.clock import Clock
from workers.backends.base import (
    LOG_LEVEL,
    BackendError,
    Call,
    ConnectionLost,
    Listener,
    ProtocolFailure,
    StateRefused,
    ToolListing,
)
from workers.backends.envelope import (
    ParamHeaders,
    call_headers,
    call_params,
    input_required,
    modern_headers,
    modern_meta,
)
from workers.backends.handshake import Agreed
from workers.backends.link import Hearing, Link, OnChange
from workers.backends.parting import Parting
from workers.backends.served_tasks import ServedTasks, Told
from workers.backends.tools import sort_tools

log = structlog.get_logger(__name__)

PAGE_CAP = 200  # pages of tools/list; a backend that goes on for ever is cut there
ASIDE_LIMIT = 10.0  # seconds for logging/setLevel
LISTEN_AGAIN = 1.0  # seconds before a lost subscription is renewed; doubles up to a minute


class Session:
    def __init__(
        self, backend: str, link: Link, agreed: Agreed, hearing: Hearing, clock: Clock
    ) -> None:
        self._backend = backend
        self._link = link
        self._hearing = hearing
        self._clock = clock
        self._param_headers: Mapping[str, ParamHeaders] = {}
        self._tasks = ServedTasks(link, agreed, clock)
        self.agreed = agreed

    @property
    def alive(self) -> bool:
        return self._link.lost is None

    @property
    def legacy(self) -> bool:
        return self.agreed.era == "legacy"

    async def call(self, call: Call, listener: Listener, parting: Parting) -> dict[str, Any]:
        """See `Place.call`."""
        if call.task is None and not self._tasks.wants(call.tool):
            try:
                return self._ended(await self._called(call, listener, parting))
            except ProtocolFailure as error:
                if not self._tasks.demands(call.tool, error):
                    raise
        told = Told(listener)
        with self._hearing.lasting(told) as token:
            if call.task is not None:
                return await self._tasks.follow(call, told)
            result = await self._called(call, told, parting, token)
            begun = self._tasks.begun(result)
            if begun is None:
                return self._ended(result)
            await told.entrusted(begun.task)
            followed = replace(call, task=begun.task, input_responses=None)
            return await self._tasks.follow(followed, told, begun)

    async def cancel_task(self, call: Call) -> None:
        """See `Place.cancel_task`."""
        await self._tasks.cancel(call)

    async def _called(
        self, call: Call, listener: Listener, parting: Parting, token: int | None = None
    ) -> dict[str, Any]:
        """With a `token`, the backend may run it as a task; progress then comes with the token."""
        agreed, as_task, headers = self.agreed, token is not None, None
        params = call_params(call, agreed.era, agreed.version, as_task=as_task)
        if agreed.era == "modern":
            param_headers = self._param_headers.get(call.tool, {})
            headers = call_headers(call, agreed.version, param_headers)
        elif as_task:
            params["_meta"] = {**params.get("_meta", {}), "progressToken": token}
        heard_by = None if as_task and agreed.era == "legacy" else listener
        try:
            return await self._link.request(
                "tools/call", params, headers=headers, listener=heard_by, parting=parting
            )
        except ProtocolFailure as error:
            if call.request_state is not None and error.code == INVALID_PARAMS:
                raise StateRefused(error.code, error.message, error.data) from error
            raise

    def _ended(self, result: dict[str, Any]) -> dict[str, Any]:
        """The result, unless it asks."""
        if self.agreed.era == "modern" and (asked := input_required(result)) is not None:
            raise asked
        return result

    async def ping(self) -> None:
        """A question that any backend answers. An error is an answer, too.

        Raises:
            BackendError: None came.
        """
        with suppress(ProtocolFailure):
            await self._ask("ping" if self.legacy else "server/discover")

    async def probe(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Call a tool for nobody; who asks in mid-call is not mistaken for it.

        Raises:
            BackendError: As `Place.call`.
        """
        call = Call(tool=tool, arguments=arguments, meta={}, client_capabilities={})
        era, version, headers = self.agreed.era, self.agreed.version, None
        if era == "modern":
            headers = call_headers(call, version, self._param_headers.get(tool, {}))
        params = call_params(call, era, version, as_task=False)
        return self._ended(await self._link.request("tools/call", params, headers=headers))

    async def list_tools(self) -> ToolListing:
        """Every page of the backend's list, sorted.

        Raises:
            BackendError: It could not be had.
        """
        found = sort_tools(await self._all_pages() if "tools" in self.agreed.capabilities else ())
        self._param_headers = found.param_headers
        self._tasks.listed(found.kept)
        return ToolListing(
            backend=self._backend,
            protocol_version=self.agreed.version,
            era=self.agreed.era,
            server_info=self.agreed.server_info,
            instructions=self.agreed.instructions,
            tools=found.kept,
            dropped=found.dropped,
            bad_headers=found.bad_headers,
            capabilities=self.agreed.capabilities,
        )

    async def ask_for_logs(self) -> None:
        """Tell a legacy backend once how much to log; a modern one hears it with each call."""
        if self.agreed.era == "legacy" and "logging" in self.agreed.capabilities:
            with suppress(BackendError, TimeoutError):
                async with asyncio.timeout(ASIDE_LIMIT):
                    await self._link.request("logging/setLevel", {"level": LOG_LEVEL})

    async def subscribe(self, on_change: OnChange) -> None:
        """Keep a modern backend's subscription to list changes open; returns when it offers none.

        Legacy backends send the change unasked; it reaches the same `on_change` through the link.
        """
        if self.agreed.era != "modern" or not self.agreed.tells_tool_changes:
            return
        delay = LISTEN_AGAIN
        while self._link.lost is None:
            started = asyncio.get_running_loop().time()
            try:
                await self._ask("subscriptions/listen", notifications={"toolsListChanged": True})
            except ConnectionLost:
                pass
            except BackendError as error:
                # Not offered after all, or the whole link is lost, which others notice.
                log.info("backend.no_subscription", backend=self._backend, error=error.message)
                return
            lasted = asyncio.get_running_loop().time() - started
            delay = LISTEN_AGAIN if lasted > delay else min(60.0, delay * 2)
            await self._clock.sleep(delay)
            # A change in between was not heard.
            on_change()

    async def _all_pages(self) -> list[object]:
        tools: list[object] = []
        cursor: str | None = None
        for _ in range(PAGE_CAP):
            page = await self._ask("tools/list", **({} if cursor is None else {"cursor": cursor}))
            found = page.get("tools")
            if not isinstance(found, list):
                raise ProtocolFailure(INTERNAL_ERROR, "tools/list: the answer has no list of tools")
            tools += found
            following = page.get("nextCursor")
            if not isinstance(following, str) or following == cursor:
                return tools
            cursor = following
        log.warning("backend.list_cut", backend=self._backend, pages=PAGE_CAP, tools=len(tools))
        return tools

    async def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        if self.agreed.era == "legacy":
            return await self._link.request(method, params)
        version = self.agreed.version
        return await self._link.request(
            method,
            {**params, "_meta": modern_meta(version, {})},
            headers=modern_headers(version, method),
        )
