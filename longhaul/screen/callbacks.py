"""Callbacks on the screen. Pure: JSON of the REST interface in, renderables out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from longhaul.screen.sheet import Sheet, sheet
from longhaul.screen.words import ago, local_time

Json = Mapping[str, Any]


def callback_list(jobs: Sequence[Json], now: datetime) -> Sheet:
    shown = sheet("JOB:whole", "ENDED:whole", "STATE:whole", "TRIES:number", "URL", "")
    for job in jobs:
        callback = job["callback"]
        shown.add_row(
            job["id"],
            ago(job["finished_at"], now),
            job["state"],
            str(callback["tries"]),
            Text(callback["url"]),
            Text(_remark(callback), style="dim"),
        )
    return shown


def callback_words(callback: Json) -> str:
    """One line of a job's card."""
    return " · ".join(part for part in (callback["url"], _remark(callback)) if part)


def _remark(callback: Json) -> str:
    match callback["state"]:
        case "none":
            return "told when the job ends"
        case "delivered":
            return f"delivered {local_time(callback['delivered_at'])}, try {callback['tries']}"
        case "failed":
            return f"given up after {callback['tries']} tries: {callback['last_error']}"
        case _ if callback["last_error"]:
            at = local_time(callback["next_try_at"])
            return f"{callback['last_error']}; next try {at}"
        case _:
            return "on its way"
