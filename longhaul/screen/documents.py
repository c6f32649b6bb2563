"""Documents on the screen. Pure: JSON in, a table out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from longhaul.screen.sheet import Sheet, sheet
from longhaul.screen.words import ago, moment, size, span

HASH_SHOWN = 12  # characters, for `get` and `rm`


def document_list(documents: Sequence[Mapping[str, Any]], at: datetime) -> Sheet:
    shown = sheet(
        *("NAME:whole", "SHA256:whole", "SIZE:number", "PUT:whole", "GOES:whole", "FOR:whole"),
        *("OWNER", "TYPE"),
    )
    for each in documents:
        goes = each["expires_at"]
        shown.add_row(
            each["name"] or "-",
            each["sha256"][:HASH_SHOWN],
            size(each["size"]),
            ago(each["created_at"], at),
            "-" if goes is None else f"in {span((moment(goes) - at).total_seconds())}",
            each["visibility"],
            each["owner"],
            each["content_type"],
        )
    return shown
