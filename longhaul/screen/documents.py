"""Documents on the screen. Pure: JSON in, a table out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from longhaul.screen.output import table
from longhaul.screen.words import ago, moment, size, span


def document_list(documents: Sequence[Mapping[str, Any]], at: datetime) -> Table:
    shown = table(
        "NAME:line", "SIZE:number", "TYPE:line", "OWNER", "FOR", "PUT:whole", "GOES", "SHA256:whole"
    )
    for each in documents:
        goes = each["expires_at"]
        shown.add_row(
            Text(each["name"] or "-"),
            size(each["size"]),
            Text(each["content_type"]),
            Text(each["owner"]),
            each["visibility"],
            ago(each["created_at"], at),
            "-" if goes is None else f"in {span((moment(goes) - at).total_seconds())}",
            each["sha256"],
        )
    return shown
