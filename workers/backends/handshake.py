"""Finding out what a backend speaks: 2026-07-28 first, the older handshake where it does not.

The first connection tries; later ones know the era and do not ask again.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from mcp_types import SERVER_INFO_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from common.tasks import cancel_and_join
from workers.backends.base import Era, ProtocolFailure
from workers.backends.envelope import CLIENT_INFO, modern_headers, modern_meta
from workers.backends.link import Link

ASKABLE: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
PATIENCE = 2.0  # seconds that a silent backend is asked the new question only


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What one connection was found to speak, and what the backend says of itself."""

    era: Era
    version: str
    server_info: dict[str, Any]
    instructions: str | None
    capabilities: dict[str, Any]

    @property
    def tells_tool_changes(self) -> bool:
        tools = self.capabilities.get("tools")
        return isinstance(tools, dict) and tools.get("listChanged") is True


async def agree(link: Link, known: Era | None, *, interactive: bool = False) -> Agreed:
    """Agree on a version, in the known era or whichever the backend has.

    `interactive`: before 2026-07-28, tools may ask questions in mid-call.

    Raises:
        BackendError: It speaks none of ours, refuses, or was lost.
    """
    if known == "modern":
        found = await discover(link)
    elif known == "legacy":
        found = await initialize(link, interactive=interactive)
    else:
        found = await _either(link, interactive=interactive)
    link.speak(found.version)
    return found


async def _either(link: Link, *, interactive: bool) -> Agreed:
    probe = asyncio.create_task(discover(link))
    tasks = [probe]
    try:
        await asyncio.wait(tasks, timeout=PATIENCE)
        if not _settles(probe):
            # Some old servers never answer what they do not know, others are just slow to start:
            # ask both. Pipes keep the order, so a modern server there answers the first.
            handshake = asyncio.create_task(initialize(link, interactive=interactive))
            tasks.append(handshake)
            await _until_one_settles(tasks)
            if not probe.done():
                await asyncio.wait([probe], timeout=PATIENCE / 2)
        return next((task for task in tasks if _settles(task)), tasks[-1]).result()
    finally:
        await cancel_and_join(*tasks)


async def _until_one_settles(tasks: list[asyncio.Task[Agreed]]) -> None:
    while not any(map(_settles, tasks)) and (open_ := [task for task in tasks if not task.done()]):
        await asyncio.wait(open_, return_when=asyncio.FIRST_COMPLETED)


def _settles(task: asyncio.Task[Agreed]) -> bool:
    """Whether this attempt decides: it succeeded, or showed that nothing else will."""
    if not task.done() or task.cancelled():
        return False
    match task.exception():
        case None:
            return True
        case ProtocolFailure(code=code, data=data) if code == UNSUPPORTED_PROTOCOL_VERSION:
            supported = _supported(data)
            return bool(supported) and not any(v in HANDSHAKE_PROTOCOL_VERSIONS for v in supported)
        case ProtocolFailure():
            return False
        case _:
            return True  # the connection failed, and that is no answer to either question


async def discover(link: Link) -> Agreed:
    """Ask as in 2026-07-28."""
    version = LATEST_MODERN_VERSION
    try:
        result = await _ask_discover(link, version)
    except ProtocolFailure as error:
        common = [
            v for v in MODERN_PROTOCOL_VERSIONS if v in _supported(error.data) and v != version
        ]
        if error.code != UNSUPPORTED_PROTOCOL_VERSION or not common:
            raise
        result = await _ask_discover(link, common[-1])
    offered = result.get("supportedVersions")
    common = [v for v in MODERN_PROTOCOL_VERSIONS if isinstance(offered, list) and v in offered]
    if not common:
        raise ProtocolFailure(
            UNSUPPORTED_PROTOCOL_VERSION,
            "the backend offers no version of ours",
            {"supported": offered if isinstance(offered, list) else []},
        )
    meta = result.get("_meta")
    info = meta.get(SERVER_INFO_META_KEY) if isinstance(meta, dict) else None
    return _agreed("modern", common[-1], result, info)


async def _ask_discover(link: Link, version: str) -> dict[str, Any]:
    return await link.request(
        "server/discover",
        {"_meta": modern_meta(version, {})},
        headers=modern_headers(version, "server/discover"),
        cancellable=False,
    )


async def initialize(link: Link, *, interactive: bool = False) -> Agreed:
    """Shake hands as before 2026-07-28; that anybody can be asked is declared only where it is so.

    For all callers of this connection: what one of them cannot be asked goes to an operator.
    """
    result = await link.request(
        "initialize",
        {
            "protocolVersion": LATEST_HANDSHAKE_VERSION,
            "capabilities": ASKABLE if interactive else {},
            "clientInfo": CLIENT_INFO,
        },
        cancellable=False,
    )
    version = result.get("protocolVersion")
    if not isinstance(version, str) or version not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise ProtocolFailure(
            UNSUPPORTED_PROTOCOL_VERSION, f"the backend speaks {version!r}, which we do not"
        )
    await link.notify("notifications/initialized")
    return _agreed("legacy", version, result, result.get("serverInfo"))


def _agreed(era: Era, version: str, result: dict[str, Any], info: object) -> Agreed:
    instructions, capabilities = result.get("instructions"), result.get("capabilities")
    return Agreed(
        era=era,
        version=version,
        server_info=info if isinstance(info, dict) else {},
        instructions=instructions if isinstance(instructions, str) else None,
        capabilities=capabilities if isinstance(capabilities, dict) else {},
    )


def _supported(data: object) -> list[object]:
    supported = data.get("supported") if isinstance(data, dict) else None
    return supported if isinstance(supported, list) else []
