"""The end of tasks: who starts one also waits for its end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def cancel_and_join(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel them, and return once each has ended, however it ended; None is passed over."""
    started = [task for task in tasks if task is not None]
    for task in started:
        task.cancel()
    await asyncio.gather(*started, return_exceptions=True)


async def first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Until one of them has ended, as it did: its error is raised. The others are cancelled."""
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_join(*tasks)
    for task in done:
        task.result()
