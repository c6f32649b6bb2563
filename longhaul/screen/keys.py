"""API keys on the screen. Pure: JSON in, a table out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from longhaul.screen.sheet import Sheet, sheet
from longhaul.screen.words import ago, moment, span


def key_list(keys: Sequence[Mapping[str, Any]], at: datetime) -> Sheet:
    shown = sheet(
        "NAME:whole", "CALLER:whole", "ROLE:whole", "KEY:whole", "CREATED:whole", "EXPIRES:whole"
    )
    for key in keys:
        shown.add_row(
            key["name"],
            key["caller"],
            key["role"],
            f"{key['prefix']}…",
            ago(key["created_at"], at),
            _end(key, at),
        )
    return shown


def _end(key: Mapping[str, Any], at: datetime) -> Text:
    if key["expired"]:
        return Text("expired", style="red")
    if key["expires_at"] is None:
        return Text("never", style="dim")
    return Text(f"in {span((moment(key['expires_at']) - at).total_seconds())}")
