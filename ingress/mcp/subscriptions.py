"""Who is told of changes: `subscriptions/listen` streams, and handshake-era sessions.

A listen stream hears that the list of tools or of resources has changed, and how its client's
tasks go on. The SDK's own handler knows nothing of tasks, nor whose resources are whose.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    SUBSCRIPTION_ID_META_KEY,
    ResourcesListChanged,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import event_to_notification

from ingress.caller import Caller
from ingress.catalogue_feed import CatalogueFeed
from ingress.document_news import DocumentNews
from ingress.mcp.declared import capabilities_of, declares_tasks, tasks_missing
from ingress.mcp.exchange import exchange_of
from ingress.mcp.sessions import LegacySessions
from ingress.mcp.task_news import TaskNews

STREAMS = 1_024

Context = ServerRequestContext[Any, Any]


class TaskNotification(types.Notification[dict[str, Any], Literal["notifications/tasks"]]):
    """A task in full, as tasks/get would show it."""

    method: Literal["notifications/tasks"] = "notifications/tasks"


class Stream:
    """One open `subscriptions/listen`; what goes out carries its id."""

    def __init__(self, ctx: Context, caller: str) -> None:
        self.caller = caller
        self._session = ctx.session
        self._request_id = ctx.request_id
        self._speaking = asyncio.Lock()
        self.meta: dict[str, Any] = {SUBSCRIPTION_ID_META_KEY: ctx.request_id}
        self.tools_changed = asyncio.Event()
        self.resources_changed = asyncio.Event()
        self.closing = asyncio.Event()

    async def send(self, notification: Any) -> None:
        async with self._speaking:  # a slow reader slows this stream, and nobody else
            await self._session.send_notification(notification, related_request_id=self._request_id)

    async def acknowledge(self, honoured: types.SubscriptionFilter) -> None:
        params = types.SubscriptionsAcknowledgedNotificationParams(
            notifications=honoured, _meta=self.meta
        )
        await self.send(types.SubscriptionsAcknowledgedNotification(params=params))

    async def say(self, task: dict[str, Any]) -> None:
        shown = {key: value for key, value in task.items() if key != "resultType"}
        await self.send(TaskNotification(params={**shown, "_meta": self.meta}))

    async def tell_tools(self) -> None:
        await self._tell(self.tools_changed, ToolsListChanged())

    async def tell_resources(self) -> None:
        await self._tell(self.resources_changed, ResourcesListChanged())

    async def _tell(
        self, changed: asyncio.Event, news: ToolsListChanged | ResourcesListChanged
    ) -> None:
        while True:
            await changed.wait()
            changed.clear()
            await self.send(event_to_notification(news, self.meta))


class Subscriptions:
    def __init__(
        self,
        feed: CatalogueFeed,
        documents: DocumentNews,
        sessions: LegacySessions,
        tasks: TaskNews,
    ) -> None:
        self._feed = feed
        self._documents = documents
        self._sessions = sessions
        self._tasks = tasks
        self._changed = asyncio.Event()
        self._streams: set[Stream] = set()
        self._closed = False

    async def listen(
        self, ctx: Context, params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """`subscriptions/listen`: acknowledges what is honoured, then tells until it is closed.

        Raises:
            MCPError: It is refused before anything was acknowledged.
            StoreUnreachableError: Nobody knows the tasks.
        """
        exchange = exchange_of(ctx)
        asked = params.notifications
        task_ids = _task_ids(asked)
        if task_ids is not None and not declares_tasks(capabilities_of(ctx, exchange)):
            raise tasks_missing()
        if len(self._streams) >= STREAMS:
            raise MCPError(types.INTERNAL_ERROR, "Too many open subscriptions")
        tasks = await self._tasks.known(task_ids or (), exchange.caller)
        more = {} if task_ids is None else {"taskIds": tasks}
        honoured = types.SubscriptionFilter.model_validate(
            {
                "toolsListChanged": asked.tools_list_changed or None,
                "resourcesListChanged": asked.resources_list_changed or None,
                **more,
            }
        )
        stream = Stream(ctx, exchange.caller.name)
        if self._closed:  # it was let in before the end was asked for
            stream.closing.set()
        self._streams.add(stream)
        try:
            await stream.acknowledge(honoured)
            await self._serve(stream, tasks, exchange.caller, honoured)
        finally:
            self._streams.discard(stream)
        return types.SubscriptionsListenResult(_meta=stream.meta)

    async def run(self) -> None:
        with (
            self._feed.on_change(self._changed.set),
            self._documents.on_change(self._tell_resources),
        ):
            while True:
                await self._changed.wait()
                self._changed.clear()
                for stream in self._streams:
                    stream.tools_changed.set()
                self._sessions.tell_tools_changed()

    def _tell_resources(self, caller: str) -> None:
        for stream in self._streams:
            if caller in {"", stream.caller}:
                stream.resources_changed.set()
        self._sessions.tell_resources_changed(caller)

    def close(self) -> None:
        """End every listen stream as the protocol ends them; clients listen again elsewhere."""
        self._closed = True
        for stream in self._streams:
            stream.closing.set()

    async def _serve(
        self,
        stream: Stream,
        tasks: Sequence[str],
        caller: Caller,
        honoured: types.SubscriptionFilter,
    ) -> None:
        async with asyncio.TaskGroup() as group:
            telling = [
                group.create_task(self._tasks.tell(task, caller, stream.say)) for task in tasks
            ]
            if honoured.tools_list_changed:
                telling.append(group.create_task(stream.tell_tools()))
            if honoured.resources_list_changed:
                telling.append(group.create_task(stream.tell_resources()))
            await stream.closing.wait()
            for task in telling:
                task.cancel()


def _task_ids(asked: types.SubscriptionFilter) -> Sequence[object] | None:
    """None when the client asks for none.

    Raises:
        MCPError: It is no list.
    """
    wanted = (asked.model_extra or {}).get("taskIds")
    if wanted is None or isinstance(wanted, list):
        return wanted or None
    raise MCPError(types.INVALID_PARAMS, "taskIds should be a list")
